"""Mends of faults that real people's input, files and threads had found, each taken out again.

``python tools/mutate.py mends`` tries them: for each file the tests that must find it, and the
faults as (what is gone, text, text instead). It says which test goes red first.
"""

MENDS = {
    # Numbers and units
    "sklsh/network/units.py": (
        ["tests/test_units.py"],
        [
            ("scale of weights", "relative = (weights / (total / n_rows))", "relative = weights"),
            ("order of parts, scale of rows: a stream keeps its first part's",
             "    return scale if 0.5 <=", "    return scale if True or 0.5 <="),
            ("one outlier: the scale is a mean",
             "return 1 / float(np.median(scales))", "return float(np.mean(1 / scales))"),
            ("one outlier: of a stream",
             "typical = float(np.median(known[-max(RECENT, scales.shape[0]) :]))",
             "typical = 1 / float(np.mean(1 / known[-max(RECENT, scales.shape[0]) :]))"),
        ],
    ),
    "sklsh/network/model.py": (
        ["tests/test_units.py"],
        [("one outlier: is as long as it is", "LONGEST = 8.0", "LONGEST = 1e30")],
    ),
    "sklsh/estimators/recommender_prediction.py": (
        ["tests/test_units.py::TestRecommender"],
        [("scale of a user's entries", "return X if (means == 1).all()", "return X if True")],
    ),
    "sklsh/estimators/hasher.py": (
        ["tests/test_hasher.py", "tests/test_state.py"],
        [
            ("scale of rows", "exponents[abs(exponents) <= LARGEST_EXPONENT] = 0",
             "exponents[:] = 0"),
            ("entries beyond float32", "X = check_float32(check_X(self, X, reset=True))",
             "X = check_X(self, X, reset=True)"),
        ],
    ),
    "sklsh/_utils/validation.py": (
        ["tests/test_units.py", "tests/test_validation_x.py"],
        [
            ("entries beyond float32", "if largest > limits.max:", "if False:"),
            ("rows too small for float32", "if resolved and 0 < largest", "if False and largest"),
            ("indices of another byte order",
             "not (X.indptr.dtype.isnative and X.indices.dtype.isnative)", "False"),
        ],
    ),
    "sklsh/metrics/_hits.py": (
        ["tests/test_metrics.py"],
        [
            ("scale of weights", "return weights / weights.max()", "return weights"),
            ("dtype of classes", "int(y_true.max()) if y_true.size else -1",
             "int(y_true.max(initial=-1))"),
            ("classes in a column", "return array.ravel() if several", "return y_true if several"),
        ],
    ),
    # Containers
    "sklsh/_utils/containers.py": (
        ["tests/test_containers.py"],
        [
            ("dtype of ids: objects", "    return _unboxed(array, name) if array.dtype.kind",
             "    return array if array.dtype.kind"),
            ("dtype of ids: floats", 'if kind == "f" and ids.size', 'if kind == "f" and False'),
            ("sets as ids", "    if isinstance(ids, Set):\n        try:",
             "    if False:\n        try:"),
            ("sparse frames", "return values.sparse.to_coo().tocsr()", "pass"),
            ("missing values", "and np.any(np.asarray(values.isna()))", "and False"),
            ("rows in one dimension", "    if np.ndim(row) != 1:\n", "    if True:\n"),
        ],
    ),
    # State
    "sklsh/network/fitting.py": (
        ["tests/test_state.py"],
        [
            ("bounded history", "            del self.losses[:-most]", "            pass"),
            ("a loss that is NaN", "min(self.best_loss, loss)", "min(loss, self.best_loss)"),
        ],
    ),
    "sklsh/network/interactions.py": (
        ["tests/test_recommender.py"],
        [("a user with nearly all items", "np.flatnonzero(counts > limit)", "np.empty(0)")],
    ),
    # Threads
    "sklsh/_utils/locks.py": (
        ["tests/test_locks.py"],
        [
            ("answers wait", "        with lock_of(self).read():\n            return method",
             "        if True:\n            return method"),
            ("half a change stays", "                twin = object.__new__(type(self))",
             "                twin = self"),
        ],
    ),
    "sklsh/kernels/_cache.py": (
        ["tests/test_kernel_cache.py"],
        [("damaged files of the cache", "return len(data) > N_BYTES and _sealed",
          "return True or _sealed")],
    ),
    # Files
    "sklsh/_utils/files.py": (
        ["tests/test_files.py"],
        [
            ("links stay", "        if not path.is_symlink() or seen == 40:", "        if True:"),
            ("pipes are written to", "    elif _is_special(target):\n        with open",
             "    elif False:\n        with open"),
            ("leftovers are swept", "            remove(left)\n", "            pass\n"),
        ],
    ),
    "sklsh/_utils/archive.py": (
        ["tests/test_archive.py"],
        [
            ("members are those of the list", "    if listed != set(infos):", "    if False:"),
            ("nothing is unpacked", "    if any(info.compress_type", "    if False and any(info.x"),
            ("an array's own checksum", "if zlib.crc32(_bytes_of(arrays[name])) != checksum:",
             "if False:"),
        ],
    ),
    "sklsh/persistence/_places.py": (
        ["tests/test_persistence_places.py", "tests/test_cli.py"],
        [
            ("a reader tries again", "if _generation(folder) != before:", "if False:"),
            ("a wrong place is found first", "    _refuse_foreign(folder)\n", "    pass\n"),
        ],
    ),
}  # fmt: skip
"""(tests, faults) by file."""
