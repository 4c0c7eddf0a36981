"""The command line, whole: as a user calls it, in a process of its own or in this one."""

import gzip
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import sklsh
from sklsh import CompressedLSHHasher, LSHRecommender, SparseLSHMLPClassifier, cli
from sklsh.cli.baselines import nearest_neighbor_topk, popular_topk
from sklsh.datasets import load_wordnet, load_xc, make_extreme_classification, save_xc
from sklsh.metrics import ndcg_at_k, precision_at_k, psp_at_k
from sklsh.persistence import (
    is_model_folder,
    load_model,
    read_label_counts,
    read_metadata,
    save_model,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    X, Y = make_extreme_classification(700, 300, 60, random_state=0)
    save_xc(folder / "train.txt.gz", X[:500], Y[:500])
    save_xc(folder / "test.txt", X[500:], Y[500:])
    return folder


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model") / "m"
    X, Y = load_xc(data)
    model = SparseLSHMLPClassifier((32,), max_iter=3, random_state=5).fit(X, Y)
    save_model(model, folder, y_train=Y)
    return folder


def test_train_is_fit(run, data, tmp_path, model_dir):
    options = ["--hidden", 32, "--epochs", 3, "--random-state", 5]
    code, out, _ = run("train", data, tmp_path / "m", *options)
    assert code == 0
    assert "500 rows, 300 features, 60 labels: 3 epochs" in out
    found, expected = load_model(tmp_path / "m"), load_model(model_dir)
    np.testing.assert_array_equal(found.coefs_[0], expected.coefs_[0])


def test_every_option_of_train_reaches_the_model(run, data, tmp_path):
    options = {
        "--effort": ("fast", "effort"),
        "--epochs": (1, "max_iter"),
        "--batch-size": (64, "batch_size"),
        "--learning-rate": (0.01, "learning_rate_init"),
        "--dropout": (0.25, "dropout"),
        "--sampler": ("uniform", "sampler"),
        "--n-active": (20, "n_active"),
        "--neighbors": (0, "n_neighbors"),
        "--random-state": (3, "random_state"),
        "--jobs": (1, "n_jobs"),
        "--checkpoint": (tmp_path / "c", "checkpoint_dir"),
    }
    arguments = [part for option, (value, _) in options.items() for part in (option, value)]
    layers = ["--hidden", 16, "--hidden", 8]
    code, _, err = run("train", data, tmp_path / "m", *layers, *arguments)
    assert code == 0, err
    params = load_model(tmp_path / "m").get_params()
    assert {name: params[name] for _, name in options.values()} == {
        name: value for value, name in options.values()
    }
    assert params["hidden_layer_sizes"] == (16, 8)


def test_evaluate_says_what_the_metrics_say(run, data, model_dir):
    X, Y = load_xc(data, "test")
    ranked, _ = load_model(model_dir).predict_topk(X, k=5)
    code, out, _ = run("evaluate", model_dir, data)
    assert code == 0
    rows = {line.split("  ")[0].strip(): line.split()[-3:] for line in out.splitlines() if line}
    assert rows["precision"] == [f"{precision_at_k(Y, ranked, k):.4f}" for k in (1, 3, 5)]
    assert rows["nDCG"] == [f"{ndcg_at_k(Y, ranked, k):.4f}" for k in (1, 3, 5)]
    y_train = load_xc(data)[1]
    expected = [f"{psp_at_k(Y, ranked, k, y_train=y_train):.4f}" for k in (1, 3, 5)]
    assert rows["propensity-scored precision"] == expected
    _, out, _ = run("evaluate", model_dir, data, "--propensity-a", 0.9, "--propensity-b", 3)
    other = psp_at_k(Y, ranked, 1, y_train=y_train, A=0.9, B=3)
    assert f"{other:.4f}" in out
    assert f"{other:.4f}" != expected[0]
    code, out, _ = run("evaluate", model_dir, data, "--subset", "train")
    assert "500 rows" in out


def test_evaluate_without_label_counts(run, data, model_dir, tmp_path):
    save_model(load_model(model_dir), tmp_path / "m")
    code, out, _ = run("evaluate", tmp_path / "m", data)
    assert code == 0
    assert "precision" in out
    assert "propensity" not in out


def test_predict_writes_ranked_labels(run, data, model_dir, tmp_path):
    X, _ = load_xc(data, "test")
    labels, scores = load_model(model_dir).predict_topk(X, k=3)
    code, out, _ = run("predict", model_dir, data, "-k", 3)
    assert code == 0
    header, *lines = out.splitlines()
    assert header == "200 60"
    pairs = [[pair.split(":") for pair in line.split()] for line in lines]
    assert [[int(label) for label, _ in row] for row in pairs] == labels.tolist()
    np.testing.assert_allclose([[float(s) for _, s in row] for row in pairs], scores, rtol=1e-6)
    for name, read in (("p.txt", open), ("p.gz", gzip.open)):
        code, empty, _ = run("predict", model_dir, data, "-k", 3, "-o", tmp_path / name)
        assert (code, empty) == (0, "")
        with read(tmp_path / name, "rt") as file:
            assert file.read() == out
    run("predict", model_dir, data, "-k", 3, "--output", tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as arrays:
        np.testing.assert_array_equal(arrays["labels"], labels)
        np.testing.assert_array_equal(arrays["scores"], scores)
    assert sorted(os.listdir(tmp_path)) == ["p.gz", "p.npz", "p.txt"]


def test_predict_leaves_padding_out(run, data, model_dir):
    _, out, _ = run("predict", model_dir, data, "-k", 70)
    assert {len(line.split()) for line in out.splitlines()[1:]} == {60}


def test_a_model_in_the_folder_where_one_is(run, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", data, ".", "--hidden", 4, "--epochs", 1)
    assert (code, err) == (0, "") and "trained on" in out
    assert is_model_folder(tmp_path)


def test_a_model_may_take_the_place_of_the_one_it_is_made_of(run, model_dir, tmp_path):
    shutil.copytree(model_dir, tmp_path / "m")
    before = read_metadata(model_dir)["model_bytes"]
    code, out, _ = run("compress", tmp_path / "m", tmp_path / "m", "--bytes-per-label", 12)
    after = read_metadata(tmp_path / "m")["model_bytes"]
    assert code == 0 and after != before and f"({after / before:.1%})" in out


def test_compress(run, data, model_dir, tmp_path):
    code, out, _ = run("compress", model_dir, tmp_path / "small", "--bytes-per-label", 12)
    assert code == 0 and "MB to" in out
    expected = load_model(model_dir).compress(12).predict_topk(load_xc(data)[0], 2)
    found = load_model(tmp_path / "small").predict_topk(load_xc(data)[0], 2)
    np.testing.assert_array_equal(found[0], expected[0])
    code, out, _ = run("evaluate", tmp_path / "small", data)
    assert code == 0 and "precision" in out
    code, _, err = run("compress", tmp_path / "small", tmp_path / "smaller")
    assert code == 1 and "must hold a SparseLSHMLPClassifier, got a CompressedClassifier" in err


def test_info(run, data, model_dir):
    code, out, _ = run("info", model_dir)
    assert code == 0
    assert re.search(r"class +sklsh.SparseLSHMLPClassifier", out)
    assert re.search(r"coefs_\[0\] +300 x 32", out)
    assert re.search(rf"learner_\.network +{4 * (300 * 32 + 32 + 60 * 32 + 60):,} bytes", out)
    code, out, _ = run("info", data)
    assert re.search(r"rows +500 +200", out)
    assert re.search(r"labels +60 +60", out)
    code, out, _ = run("info", data / "test.txt")
    X, Y = load_xc(data / "test.txt")
    assert re.search(rf"features a row +{X.nnz / 200:.1f}", out)
    assert re.search(rf"labels a row +{Y.nnz / 200:.2f}", out)


def test_info_says_how_full_the_tables_are(run, tmp_path):
    X, Y = make_extreme_classification(200, 50, 40, random_state=0)
    model = SparseLSHMLPClassifier((8,), prediction="lsh", n_tables=5, max_iter=1, random_state=0)
    save_model(model.fit(X, Y), tmp_path / "lsh")
    _, out, _ = run("info", tmp_path / "lsh")
    assert re.search(r"n_tables +5\s", out)
    assert re.search(r"recall@1 +\d", out)
    low, high = model.table_stats_["n_buckets"].min(), model.table_stats_["n_buckets"].max()
    assert re.search(rf"n_buckets +{low} to {high}\s", out)


def test_info_of_a_folder_with_one_set(run, data, tmp_path):
    X, Y = load_xc(data, "test")
    sp.save_npz(tmp_path / "X_test.npz", X)
    sp.save_npz(tmp_path / "Y_test.npz", Y)
    code, out, _ = run("info", tmp_path)
    assert code == 0
    assert re.search(r"rows +200\s", out)


def test_user_errors_are_one_line(run, data, model_dir, tmp_path):
    X, Y = load_xc(data, "test")
    save_xc(tmp_path / "narrow.txt", X[:, :100], Y)
    save_xc(tmp_path / "few.txt", X, Y[:, :10])
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "folder").mkdir()
    save_model(CompressedLSHHasher(random_state=0).fit(X), tmp_path / "hasher")
    recommender = LSHRecommender((4,), max_iter=1, random_state=0).fit(Y)
    save_model(recommender, tmp_path / "recommender")
    sp.save_npz(tmp_path / "items.npz", Y)
    (tmp_path / "table.csv").write_text("user,item\n1,2\n")
    for name, matrix in {
        "below": -Y, "none": 0 * Y, "nobody": Y[:0], "nan": Y * np.float32(np.nan),
    }.items():  # fmt: skip
        sp.save_npz(tmp_path / f"{name}.npz", matrix)
    shutil.copytree(tmp_path / "recommender", tmp_path / "rest")
    (tmp_path / "rest" / "metadata.json").unlink()
    (tmp_path / "half.npz").write_bytes((tmp_path / "items.npz").read_bytes()[:99])
    for arguments, message in [
        (("train", tmp_path / "no", tmp_path / "m"), "no does not exist"),
        (("train", tmp_path / "empty.txt", tmp_path / "m"), "the file is empty"),
        (("train", tmp_path / "folder", tmp_path / "m"), "has no train set"),
        (("train", data, tmp_path / "m", "--sampler", "best"), "'sampler' parameter"),
        (("train", data, tmp_path / "m", "--effort", "all"), "'effort' parameter"),
        (("train", data, tmp_path / "m", "--hidden", "0"), "hidden_layer_sizes"),
        (("train", data, tmp_path), "holds other things than a model"),
        (("evaluate", tmp_path / "folder", data), "is no model folder"),
        (("evaluate", model_dir, tmp_path / "narrow.txt"), "needs 300 features, the data has 100"),
        (("evaluate", model_dir, tmp_path / "few.txt"), "has 60 labels, the data 10"),
        (("evaluate", model_dir, data, "--propensity-a", "-1"), "A must be in"),
        (("evaluate", model_dir, data, "--subset", "dev"), "subset must be one of"),
        (("predict", model_dir, data, "-k", "0"), "k must be at least 1, got 0"),
        (("predict", model_dir, data, "-o", tmp_path / "no" / "p"), "no does not exist"),
        (("predict", model_dir, data, "-o", tmp_path / "folder"), "is a folder; name a file"),
        (
            ("predict", model_dir, tmp_path / "table.csv"),
            "is of no texts, so that it takes no table",
        ),
        (("predict", tmp_path / "hasher", data), "hold a classifier, got CompressedLSHHasher"),
        (("evaluate", tmp_path / "recommender", data), "hold a classifier, got LSHRecommender"),
        (("predict", tmp_path / "test.npz", data), "test.npz does not exist"),
        (("predict", tmp_path / "few.txt", data), "is no model folder"),
        (("recommend", tmp_path), "is a folder; name a file of scipy"),
        (("recommend", tmp_path / "no"), "no does not exist"),
        (("recommend", tmp_path / "half.npz"), "half.npz must be a matrix of scipy"),
        (("recommend", tmp_path / "items.npz", "--test", tmp_path / "half.npz"), "half.npz must"),
        (("recommend", tmp_path / "items.npz", "--model", model_dir), "must hold a recommender"),
        (("recommend", tmp_path / "items.npz", "-o", tmp_path / "no" / "p"), "no does not exist"),
        (("recommend", tmp_path / "below.npz"), "below.npz must have finite entries of at least 0"),
        (("recommend", tmp_path / "nan.npz"), "nan.npz must have finite entries"),
        (("recommend", tmp_path / "none.npz"), "none.npz must have a user with an item"),
        (("recommend", tmp_path / "nobody.npz"), "nobody.npz has no users"),
        (("recommend", tmp_path / "items.npz", "--test", tmp_path / "none.npz"), "none.npz must"),
        (("recommend", tmp_path / "items.npz", "--test", tmp_path / "nan.npz"), "nan.npz must"),
        (("recommend", tmp_path / "items.npz", "--model", tmp_path / "rest"), "is no model folder"),
        (("info", tmp_path / "table.csv"), "the first line must be the header"),
        (("info", tmp_path / "no"), "no does not exist"),
        (("info", tmp_path / "folder"), "has no test set"),
    ]:
        code, _, err = run(*arguments)
        assert code == 1, arguments
        assert err.startswith("sklsh: ")
        assert message in err
        assert "\n" not in err.strip(), err
    assert not (tmp_path / "m").exists()
    assert os.listdir(tmp_path / "rest") == ["arrays.bin"]
    code, _, err = run("train")
    assert code == 2
    assert "Missing argument" in err


@pytest.mark.parametrize("place", ["folder", "file", "no/model"])
def test_a_wrong_place_for_the_model_is_found_before_the_work(run, data, place, tmp_path):
    def works(*arguments, **options):
        raise AssertionError("it was trained")

    (tmp_path / "folder").mkdir()
    for name in ("file", "folder/other", "t.csv"):
        (tmp_path / name).write_text("body,tags\nred,a\nblue,b\n")
    sp.save_npz(tmp_path / "items.npz", load_xc(data, "test")[1])
    for arguments in (
        ("train", data, tmp_path / place),
        ("train", tmp_path / "t.csv", tmp_path / place, "--text", "body", "--labels", "tags"),
        ("recommend", tmp_path / "items.npz", "--model", tmp_path / place),
        ("compress", tmp_path / "none", tmp_path / place),
    ):
        with pytest.MonkeyPatch.context() as patched:
            for estimator in (SparseLSHMLPClassifier, LSHRecommender):
                patched.setattr(estimator, "fit", works)
            code, _, err = run(*arguments)
        wanted = "no does not exist" if place == "no/model" else f"{tmp_path / place} "
        assert code == 1 and wanted in err, err


def test_version(run):
    assert run("--version") == (0, f"sklsh {sklsh.__version__}\n", "")


def test_nothing_asked_for_is_help(run):
    _, out, err = run()
    assert all(name in out + err for name in ("demo", "train", "evaluate", "predict", "info"))


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from sklsh.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == 'The sklsh command needs typer and rich: pip install "sklsh[cli]"\n'


def test_another_missing_module_is_not_hidden(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklsh.cli.classifiers", raising=False)
    monkeypatch.delattr(cli, "classifiers", raising=False)
    monkeypatch.setitem(sys.modules, "sklsh.cli.baselines", None)
    monkeypatch.setattr(sys, "argv", ["sklsh", "demo"])
    with pytest.raises(ModuleNotFoundError, match="baselines"):
        cli.main()


def test_module_can_be_run():
    done = subprocess.run(
        [sys.executable, "-m", "sklsh.cli", "--help"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "evaluate" in done.stdout


HEAVY = ["numpy", "scipy", "sklearn", "numba", "rich.progress"]


@pytest.mark.parametrize("asked", ["--help", "--version", "train --help", "federated run --help"])
def test_help_and_version_wait_for_nothing(asked):
    """What takes seconds to import is not imported: .2 s of a processor in the place of 3."""
    code = (
        "import sys; from sklsh.cli import main\n"
        "try: main()\nexcept SystemExit as end: code = end.code\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *asked.split()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("asked", [["trai"], ["federated", "joi"]])
def test_a_mistyped_command_is_answered_once(asked, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sklsh", *asked])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.count("Did you mean") == 1


def test_nearest_neighbors_against_naive():
    X, Y = make_extreme_classification(80, 40, 15, random_state=1)
    X_train, Y_train, X_test = X[:60], Y[:60], X[60:] * 3
    found = nearest_neighbor_topk(X_train, Y_train, X_test, k=4, n_neighbors=5)
    for row, ranked in zip(X_test.toarray(), found, strict=True):
        train = X_train.toarray()
        cosines = train @ row / (np.linalg.norm(train, axis=1) * np.linalg.norm(row))
        nearest = np.argsort(-cosines, kind="stable")[:5]
        scores = cosines[nearest] @ Y_train.toarray()[nearest]
        order = np.argsort(-scores, kind="stable")[:4]
        assert ranked.tolist() == [j if scores[j] > 0 else -1 for j in order]
    counts = np.asarray(Y_train.sum(axis=0)).ravel()
    popular = popular_topk(Y_train, 3, k=4)
    assert popular.shape == (3, 4)
    assert popular[2].tolist() == np.argsort(-counts, kind="stable")[:4].tolist()


def test_demo(run):
    code, out, _ = run("demo")
    assert code == 0
    rows = {line[:24].strip(): line[24:].split() for line in out.splitlines()}
    network = [float(value) for value in rows["SparseLSHMLPClassifier"][:3]]
    neighbors = [float(value) for value in rows["30 nearest neighbours"][:3]]
    popular = [float(value) for value in rows["commonest labels"][:3]]
    assert network[0] >= 0.445
    assert all(a > b > c for a, b, c in zip(network, neighbors, popular, strict=True))
    _, X_test, Y_train, Y_test = load_wordnet(return_X_y=True)
    ranked = popular_topk(Y_train, X_test.shape[0])
    assert popular == [round(precision_at_k(Y_test, ranked, k), 4) for k in (1, 3, 5)]


def test_a_compressed_model_keeps_the_counts_of_labels(run, data, model_dir, tmp_path):
    assert run("compress", model_dir, tmp_path / "small")[0] == 0
    found, had = (read_label_counts(folder) for folder in (tmp_path / "small", model_dir))
    for kept, expected in zip(found, had, strict=True):
        np.testing.assert_array_equal(kept, expected)
    assert "propensity-scored precision" in run("evaluate", tmp_path / "small", data)[1]


def test_classes_are_written_as_their_places(run, data, tmp_path):
    X, _ = load_xc(data, "test")
    y = np.array([-1, 10, 70])[np.arange(X.shape[0]) % 3]
    model = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0).fit(X, y)
    save_model(model, tmp_path / "m")
    code, out, _ = run("predict", tmp_path / "m", data, "-k", 3)
    first, *lines = out.splitlines()
    assert code == 0 and first == "200 3"
    places = [[int(pair.split(":")[0]) for pair in line.split()] for line in lines]
    np.testing.assert_array_equal(model.classes_[places], model.predict_topk(X, 3)[0])


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl.gz", "o.parquet"])
def test_lines_of_scores_are_no_table(name, run, data, model_dir, tmp_path):
    code, _, err = run("predict", model_dir, data, "-o", tmp_path / name)
    assert code == 1 and "what is written are lines of label:score; end in .txt" in err
    assert not (tmp_path / name).exists()
