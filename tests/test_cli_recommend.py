"""``sklsh recommend``: trains, keeps the model, uses it again, says how good it is."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import LSHRecommender, SparseLSHMLPClassifier, cli
from sklsh.metrics import ndcg_at_k, recall_at_k
from sklsh.persistence import load_model, save_model


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sklsh", "recommend", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code or 0, capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interactions")
    tastes = np.kron(np.eye(3), np.ones((20, 5))) * np.random.default_rng(0).random((60, 15))
    for name, part in (("train", tastes < 0.7), ("test", tastes >= 0.7)):
        sp.save_npz(folder / f"{name}.npz", sp.csr_matrix((tastes * part > 0).astype(float)))
    return folder


def test_figures_and_file_are_the_estimators(run, data, tmp_path):
    train, test = (sp.load_npz(data / f"{name}.npz") for name in ("train", "test"))
    items, scores = LSHRecommender(random_state=0).fit(train).predict_topk(train, 4)
    arguments = [data / "train.npz", "--test", data / "test.npz", "-k", 4]
    code, out = run(*arguments, "-o", tmp_path / "best.npz", "--model", tmp_path / "m")
    assert code == 0
    asked = np.flatnonzero(np.diff(test.indptr))
    for metric in (recall_at_k, ndcg_at_k):
        assert f"{metric(test[asked], items[asked], 4):.4f}" in out
    found = np.load(tmp_path / "best.npz")
    np.testing.assert_array_equal(found["labels"], items)
    np.testing.assert_array_equal(found["scores"], scores)
    # The model is there and is used: another seed changes nothing.
    assert isinstance(load_model(tmp_path / "m"), LSHRecommender)
    assert run(*arguments, "--model", tmp_path / "m", "--random-state", 9) == (0, out)


def test_lines_on_standard_output(run, data):
    code, out = run(data / "train.npz", "-k", 2)
    lines = out.splitlines()
    assert code == 0 and lines[0] == "60 15" and len(lines) == 61
    assert all(len(line.split()) == 2 for line in lines[1:])


def test_refusals(run, data, tmp_path):
    (tmp_path / "no.npz").write_text("no")
    for k in (0, 1_001):
        said, out = run(data / "train.npz", "--model", tmp_path / "new", "-k", k)
        assert "k must be at" in said and out == "" and not (tmp_path / "new").exists()
    assert "must be a matrix of" in run(tmp_path / "no.npz")[0]
    sp.save_npz(tmp_path / "narrow.npz", sp.csr_matrix(np.ones((60, 3))))
    assert "shape" in run(data / "train.npz", "--test", tmp_path / "narrow.npz")[0]
    save_model(
        SparseLSHMLPClassifier((4,), max_iter=1).fit(np.eye(4), [0, 1, 0, 1]), tmp_path / "c"
    )
    assert "must hold a recommender" in run(data / "train.npz", "--model", tmp_path / "c")[0]
    save_model(LSHRecommender((4,), max_iter=1).fit(np.eye(4)), tmp_path / "r")
    assert "needs 4 items" in run(data / "train.npz", "--model", tmp_path / "r")[0]
