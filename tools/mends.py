"""Mends of faults that real people's input, files and threads had found, each taken out again.

``python tools/mutate.py mends`` tries them and says which of the tests that are named
here goes red.
"""

UNITS, STATE, HELD = "tests/test_units.py", "tests/test_state.py", "tests/test_containers.py"

MENDS = {
    # Numbers and units
    "sklsh/network/units.py": [
        ("scale of weights", "relative = (weights / (total / n_rows))", "relative = (weights)",
         f"{UNITS}::TestWeights::test_a_constant_factor_changes_nothing"),
        ("order of parts: a stream keeps the first one's unit",
         "    return scale if 0.5 <=", "    return scale if True or 0.5 <=",
         f"{UNITS}::test_order_of_parts"),
        ("scale of rows: the same",
         "    return scale if 0.5 <=", "    return scale if True or 0.5 <=",
         f"{UNITS}::TestRows::test_a_stream_follows_its_unit"),
        ("one outlier: the scale is a mean",
         "return 1 / float(np.median(scales))", "return float(np.mean(1 / scales))",
         f"{UNITS}::test_one_stray_row_does_not_outweigh_the_others"),
        ("one outlier: of a stream",
         "typical = float(np.median(known[-max(RECENT, scales.shape[0]) :]))",
         "typical = 1 / float(np.mean(1 / known[-max(RECENT, scales.shape[0]) :]))",
         f"{UNITS}::TestRows::test_add_recent"),
    ],
    "sklsh/network/model.py": [
        ("one outlier: is as long as it is", "LONGEST = 8.0", "LONGEST = 1e30",
         f"{UNITS}::test_one_stray_row_does_not_outweigh_the_others"),
    ],
    "sklsh/estimators/recommender_prediction.py": [
        ("scale of a user's entries", "return X if (means == 1).all()", "return X if True",
         f"{UNITS}::TestRecommender::test_units_change_nothing"),
    ],
    "sklsh/estimators/hasher.py": [
        ("scale of rows", "exponents[abs(exponents) <= LARGEST_EXPONENT] = 0", "exponents[:] = 0",
         "tests/test_hasher.py::TestUnits"),
        ("the index is changed last", "+ X.shape[0])\n        codes = self._hash(X)\n",
         "+ X.shape[0])\n        codes = self._hash(X)\n        self.tables_.update(ids, codes)\n",
         f"{STATE}::test_a_part_that_a_hasher_does_not_finish_is_not_in_the_index"),
    ],
    "sklsh/_utils/validation.py": [
        ("entries beyond float32", "if largest > limits.max:", "if False:",
         f"{UNITS}::test_entries_beyond_float32_are_refused"),
        ("rows too small for float32", "if resolved and 0 < largest", "if False and largest",
         f"{UNITS}::test_rows_too_small_for_float32_are_refused"),
        ("indices of another byte order",
         "not (X.indptr.dtype.isnative and X.indices.dtype.isnative)", "False",
         "tests/test_validation_x.py::test_indices_of_the_other_byte_order"),
    ],
    "sklsh/metrics/_hits.py": [
        ("scale of weights", "return weights / weights.max()", "return weights",
         "tests/test_metrics.py::test_sample_weight_in_any_unit"),
        ("dtype of classes", "int(y_true.max()) if y_true.size else -1",
         "int(y_true.max(initial=-1))", "tests/test_metrics.py::test_classes_of_any_integer_type"),
        ("classes in a column", "return array.ravel() if several", "return y_true if several",
         "tests/test_metrics.py::test_classes_in_a_column"),
    ],
    # Containers
    "sklsh/_utils/containers.py": [
        ("dtype of ids: objects", "    return _unboxed(array, name) if array.dtype.kind",
         "    return array if array.dtype.kind", f"{HELD}::test_classes"),
        ("dtype of ids: floats", 'if kind == "f" and ids.size', 'if kind == "f" and False',
         f"{HELD}::test_item_ids"),
        ("sets as ids", "    if isinstance(ids, Set):\n        try:", "    if False:\n        try:",
         f"{HELD}::test_item_ids"),
        ("sparse frames", "return values.sparse.to_coo().tocsr()", "pass",
         f"{HELD}::test_indicators"),
        ("missing values", "and np.any(np.asarray(values.isna()))", "and False",
         f"{HELD}::test_missing_values_are_named"),
        ("rows in one dimension", "    if np.ndim(row) != 1:\n", "    if True:\n",
         f"{HELD}::test_one_row_of_one_user"),
    ],
    "sklsh/datasets/_event_columns.py": [
        ("empty text is no id", 'np.flatnonzero(names == "")', 'np.flatnonzero(names == "no")',
         "tests/test_events.py::TestRefused::test_columns"),
        ("ages in narrow types", "        if values.dtype.kind == \"f\":", "        if True:",
         "tests/test_events.py::test_ages_in_any_type_of_times"),
        ("units with a count", 'array.astype(f"M8[{unit}]").astype(np.int64)',
         "array.astype(np.int64)", "tests/test_events.py::test_ages_in_any_type_of_times"),
    ],
    "sklsh/datasets/_events.py": [
        ("very old is not nothing", "np.maximum(matrix.data, limits.tiny)", "matrix.data",
         "tests/test_events.py::test_what_is_very_old_is_little_and_not_nothing"),
        ("entries of events beyond float32", "    if largest > limits.max or", "    if False and",
         "tests/test_events.py::TestRefused::test_columns"),
    ],
    "sklsh/estimators/item_ids.py": [
        ("what pads answers is no name", "            if (names == padding).any():",
         "            if False:",
         "tests/test_item_ids.py::test_what_pads_answers_names_no_item"),
    ],
    # State
    "sklsh/network/fitting.py": [
        ("bounded history", "            del self.losses[:-most]", "            pass",
         f"{STATE}::TestStreams::test_the_best_loss_is_of_all_parts"),
        ("a loss that is NaN", "min(self.best_loss, loss)", "min(loss, self.best_loss)",
         f"{STATE}::test_best_loss_is_never_nan"),
    ],
    "sklsh/estimators/federated_run.py": [
        ("devices' memory after a failure", "{d: copy(c) for d, c", "{d: c for d, c",
         f"{STATE}::test_rounds_that_fail_leave_what_devices_keep"),
    ],
    "sklsh/network/interactions.py": [
        ("a user with nearly all items", "np.flatnonzero(counts > limit)", "np.empty(0)",
         "tests/test_recommender.py::"
         "test_a_user_with_nearly_all_items_costs_a_bounded_number_of_pairs"),
    ],
    # Threads
    "sklsh/_utils/locks.py": [
        ("answers wait", "        with lock_of(self).read():\n            return method",
         "        if True:\n            return method",
         "tests/test_locks.py::test_stream_of_a_classifier"),
        ("half a change stays", "                twin = object.__new__(type(self))",
         "                twin = self",
         "tests/test_locks.py::test_a_change_that_fails_leaves_nothing_behind"),
    ],
    "sklsh/kernels/_cache.py": [
        ("damaged files of the cache", "return len(data) > N_BYTES and _sealed",
         "return True or _sealed",
         "tests/test_kernel_cache.py::test_what_is_damaged_is_compiled_again"),
    ],
    # Files
    "sklsh/_utils/files.py": [
        ("links stay", "    target = _target(path)\n    with naming",
         "    target = path\n    with naming",
         "tests/test_files.py::test_a_link_stays_one"),
        ("pipes are written to", "        elif _is_special(target):\n            with open",
         "        elif False:\n            with open",
         "tests/test_files.py::test_a_pipe_is_written_to"),
        ("leftovers are swept", "            remove(left)\n", "            pass\n",
         "tests/test_files.py::test_what_a_killed_writer_leaves_is_swept"),
    ],
    "sklsh/_utils/archive.py": [
        ("members are those of the list", "    if listed != set(infos):", "    if False:",
         "tests/test_archive.py::test_members_are_those_of_the_list"),
        ("nothing is unpacked", "    if any(info.compress_type", "    if False and any(info.x",
         "tests/test_archive.py::test_nothing_is_unpacked"),
        ("an array's own checksum", "if zlib.crc32(_bytes_of(arrays[name])) != checksum:",
         "if False:", "tests/test_archive.py::test_members_are_those_of_the_list"),
    ],
    "sklsh/persistence/_places.py": [
        ("a reader tries again", "if _generation(folder) == before:\n                raise",
         "if True:\n                raise",
         "tests/test_persistence_places.py::test_a_reader_that_meets_another_model_tries_again"),
        ("a wrong place is found first", "    _refuse_foreign(folder)\n", "    pass\n",
         "tests/test_cli.py::test_a_wrong_place_for_the_model_is_found_before_the_work"),
    ],
}  # fmt: skip
"""(what is gone, text, text instead, the test that goes red) by file."""
