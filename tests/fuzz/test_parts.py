"""Hashing, metrics, data, files and messages with strange input."""

import dataclasses
import json
import shutil
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh import SparseLSHMLPClassifier, metrics
from sklsh.datasets import load_xc, make_extreme_classification, save_xc, split_devices
from sklsh.federated import messages
from sklsh.hashing import HashTables, make_family, make_projection, serial_candidates
from sklsh.hashing.theory import collision_probability
from sklsh.persistence import load_model, read_label_counts, read_metadata, save_model
from tests.fuzz.strange import MODEST, SCALARS, dense, fuzzed, matrices, only_documented, targets

pytestmark = pytest.mark.slow

integers = st.one_of(
    SCALARS,
    st.lists(st.integers(-2, 20), max_size=6).map(lambda ids: np.array(ids, dtype=np.int64)),
    dense(6, 3),
    st.integers(0, 100).map(lambda s: np.random.default_rng(s).integers(-1, 9, (6, 3))),
    st.integers(0, 100).map(lambda s: np.random.default_rng(s).integers(0, 8, (6, 3))),
)


@fuzzed
@given(integers, SCALARS, integers, integers, integers)
def test_tables(codes, bits, ids, others, keys):
    good = HashTables.build(np.arange(18).reshape(6, 3) % 8, 3)
    for call in (
        lambda: HashTables.build(codes, bits),
        lambda: HashTables.build(codes, 3, ids),
        lambda: HashTables.build(codes, 3).query(keys),
        lambda: good.query(keys, bits),
        lambda: good.query(keys),
        lambda: good.update(ids, codes),
        lambda: good.remove(ids),
        lambda: good.merge(HashTables.build(others, 3, ids)),
        lambda: good.sizes(bits),
    ):
        with only_documented():
            call()
    assert good.n_present == good.present.sum()
    _, found, _ = good.query(np.zeros((1, 3), dtype=int))
    assert good.present[found].all()


@fuzzed
@given(
    st.sampled_from(["pghash", "pghash_d", "simhash", "dwta"]), SCALARS, SCALARS, SCALARS, SCALARS,
    st.sampled_from(["signed", "periodic", "sample", "x"]), matrices(), SCALARS,
)  # fmt: skip
def test_families(family, n_tables, hash_length, sketch_dim, seed, fold, X, tables):
    functions = make_family(family, n_tables=3, hash_length=2).draw(6)
    for call in (
        lambda: make_family(
            family, n_tables=n_tables, hash_length=hash_length, sketch_dim=sketch_dim, fold=fold
        ).draw(6),
        lambda: make_family(family, hash_length=hash_length).draw(6),
        lambda: make_family(family).draw(n_tables, seed),
        lambda: make_projection(fold, 6, sketch_dim, seed),
        lambda: functions.codes(functions.sketch(X), tables),
        lambda: functions.codes(X),
        lambda: functions.probes(functions.sketch(X), hash_length),
        lambda: serial_candidates(functions, X, X, sketch_dim),
        lambda: collision_probability(functions, X),
    ):
        with only_documented():
            call()


@fuzzed
@given(targets(), st.one_of(matrices(), integers), SCALARS, st.one_of(st.none(), targets()))
def test_metrics(y_true, y_score, k, weights):
    for name in ("precision_at_k", "recall_at_k", "ndcg_at_k", "hit_rate_at_k", "mrr_at_k"):
        with only_documented():
            value = getattr(metrics, name)(y_true, y_score, k)
            assert 0 <= value <= 1
    for call in (
        lambda: metrics.precision_at_k(y_true, y_score, 2, sample_weight=weights),
        lambda: metrics.psp_at_k(y_true, y_score, weights, k),
        lambda: metrics.inverse_propensity(y_true),
        lambda: metrics.coverage_at_k(y_score, k),
        lambda: metrics.novelty_at_k(y_true, y_score, k),
    ):
        with only_documented():
            call()


@fuzzed
@given(targets(), SCALARS, SCALARS, MODEST)
def test_data_sets(y, a, b, c):
    for call in (
        lambda: split_devices(y, a, random_state=0),
        lambda: split_devices(y, 3, "dirichlet", alpha=a, random_state=b),
        lambda: make_extreme_classification(20, 30, 10, labels_per_row=c, random_state=0),
        lambda: make_extreme_classification(20, 30, 10, signal=b, top_label_share=c),
    ):
        with only_documented():
            call()


@pytest.fixture(scope="module")
def xc_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("xc") / "good.txt"
    X, Y = make_extreme_classification(8, 30, 10, random_state=0)
    save_xc(path, X, Y)
    return path


def mutated(draw_bytes, data):
    content = bytearray(data)
    for place, byte in draw_bytes:
        content[place % len(content)] = byte
    return bytes(content)


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(list(b" \n:,-.0159einfax#\x00\xff"))),
    max_size=6,
)


@fuzzed
@given(MUTATIONS, st.one_of(st.none(), st.integers(0, 1000)))
def test_files_of_the_repositorys_format(xc_file, mutations, length):
    path = xc_file.parent / "mutated.txt"
    path.write_bytes(mutated(mutations, xc_file.read_bytes())[:length])
    with only_documented():
        X, Y = load_xc(path)
        assert np.isfinite(X.data).all()
        assert X.indices.max(initial=0) < X.shape[1]
        assert X.shape[0] == Y.shape[0]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "good"
    X, Y = make_extreme_classification(80, 30, 10, random_state=0)
    model = SparseLSHMLPClassifier((4,), max_iter=1, random_state=0).fit(X, Y)
    save_model(model, folder, y_train=Y)
    return folder


@fuzzed
@given(st.integers(0, 99), MUTATIONS, st.one_of(st.none(), st.integers(0, 60_000)), SCALARS)
def test_model_folders(model_folder, which, mutations, length, value):
    folder = model_folder.parent / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model_folder, folder)
    files = sorted(folder.iterdir())
    victim = files[which % len(files)]
    content = mutated(mutations, victim.read_bytes())
    if victim.suffix == ".json" and content == victim.read_bytes():
        metadata = json.loads(content)
        if isinstance(value, str | float | int | list | None):
            metadata[sorted(metadata)[which % len(metadata)]] = value
        metadata.pop("checksum", None)
        checksum = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
        content = json.dumps({**metadata, "checksum": checksum}).encode()
    victim.write_bytes(content[:length])
    for call in (
        lambda: load_model(folder, mmap_mode=None),
        lambda: read_metadata(folder),
        lambda: read_label_counts(folder),
    ):
        with only_documented():
            call()


REPLIES = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, messages.Reply) and kind is not messages.Reply
]


@fuzzed
@given(st.sampled_from(REPLIES), st.data())
def test_messages(kind, data):
    """A reply of strange parts is rejected, or passes; no other error reaches the server."""
    shape = messages.ModelShape(n_features=6, n_labels=9, hidden_layer_sizes=(3,))

    def part(name):
        if name == "head" and data.draw(st.booleans()):
            return made(messages.HeadPart)
        if name == "body" and data.draw(st.booleans()):
            return made(messages.BodyPart)
        return data.draw(st.one_of(integers, matrices(4, 3), targets(4)))

    def made(of):
        return of(**{field.name: part(field.name) for field in dataclasses.fields(of)})

    reply = made(kind)
    with suppress(messages.Rejected), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reply.validate(shape)
