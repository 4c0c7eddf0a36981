"""``sklsh recommend`` on tables of events: names in, names out, a model that goes on."""

import csv
import json
import sys

import numpy as np
import pytest

from sklsh import LSHRecommender, SparseLSHMLPClassifier, cli
from sklsh.datasets import Interactions
from sklsh.metrics import recall_at_k
from sklsh.persistence import load_model, save_model
from tests.test_cli_recommend import run  # noqa: F401

HEADER = ["who", "what", "when", "much"]


def events(seed, n_users=60, new=()):
    """Three tastes of five items each, by name; `new` items for the last taste."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        taste = [f"item {5 * (user % 3) + i}" for i in range(5)]
        taste += list(new) if user % 3 == 2 else []
        for item in rng.choice(taste, 3, replace=False):
            day = int(rng.integers(1, 28))
            rows.append([f"user {user}", item, f"2026-01-{day:02d}", int(rng.integers(1, 4))])
    return rows


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("events") / "log.csv", events(0))


NAMED = "--user", "who", "--item", "what"


def columns_of(rows, time=False):
    frame = {name: [row[i] for row in rows] for i, name in enumerate(HEADER)}
    frame["when"] = np.array(frame["when"], dtype="datetime64[us]")
    frame["much"] = np.array(frame["much"], dtype=float)
    return frame


def test_names_in_and_names_out(run, log, tmp_path):  # noqa: F811
    code, out = run(log, *NAMED, "-k", 2)
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    seen = Interactions.from_events(columns_of(events(0)), user="who", item="what")
    model = LSHRecommender(random_state=0).fit(seen.matrix, item_ids=seen.item_ids)
    ids, scores = model.recommend(np.arange(60), seen.matrix, N=2)
    assert [row["user"] for row in rows] == np.repeat(seen.user_ids, 2).tolist()
    assert [row["item"] for row in rows] == ids.ravel().tolist()
    assert [row["rank"] for row in rows] == ["1", "2"] * 60
    np.testing.assert_allclose([float(row["score"]) for row in rows], scores.ravel(), rtol=1e-5)
    assert run(log, *NAMED, "-k", 2, "-o", tmp_path / "best.csv") == (0, "")
    assert (tmp_path / "best.csv").read_text() == out


def test_weights_and_ages_are_those_of_the_events(run, log, tmp_path):  # noqa: F811
    model_dir = tmp_path / "m"
    arguments = [*NAMED, "--time", "when", "--weight", "much", "--half-life", 3]
    code, out = run(log, *arguments, "--model", model_dir, "-k", 1)
    assert code == 0
    seen = Interactions.from_events(
        columns_of(events(0)), user="who", item="what", time="when", weight="much",
        half_life=np.timedelta64(3, "D"),
    )  # fmt: skip
    model = load_model(model_dir)
    want = LSHRecommender(random_state=0).fit(seen.matrix, item_ids=seen.item_ids)
    np.testing.assert_array_equal(model.autoencoder_.memory.values, want.autoencoder_.memory.values)
    ids, _ = want.recommend(np.arange(60), seen.matrix, N=1)
    assert [row["item"] for row in csv.DictReader(out.splitlines())] == ids[:, 0].tolist()


def test_a_model_is_asked_and_learns_when_it_is_told_to(run, log, tmp_path):  # noqa: F811
    model_dir, out = tmp_path / "m", tmp_path / "best.jsonl"
    assert run(log, *NAMED, "--model", model_dir, "-o", out)[0] == 0
    before = (model_dir / "metadata.json").read_bytes()
    today = write(tmp_path / "today.csv", events(1, new=["new 1", "new 2"]))
    # Asked: what it does not know is left out, and the folder stays as it is.
    assert run(today, *NAMED, "--model", model_dir, "-o", out)[0] == 0
    assert (model_dir / "metadata.json").read_bytes() == before
    assert "new 1" not in out.read_text()
    assert run(today, *NAMED, "--model", model_dir, "--learn", "-o", out)[0] == 0
    model = load_model(model_dir)
    assert model.item_ids_.tolist()[-2:] == ["new 1", "new 2"] and len(model.item_ids_) == 17
    assert model.item_counts_.sum() == 360
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    named = {item for line in lines for item in line["items"]}
    assert {"new 1", "new 2"} <= named and len(lines) == 60


def test_figures_are_of_what_is_new_to_a_user(run, log, tmp_path):  # noqa: F811
    later = [
        *events(2),
        ["user 0", "unknown", "2026-02-01", 1],
        ["nobody", "item 1", "2026-02-01", 1],
    ]
    code, out = run(log, *NAMED, "--test", write(tmp_path / "later.csv", later), "-k", 2)
    assert code == 0 and "recall@2" in out
    seen = Interactions.from_events(columns_of(events(0)), user="who", item="what")
    model = LSHRecommender(random_state=0).fit(seen.matrix, item_ids=seen.item_ids)
    given, users = seen.matrix.toarray(), seen.user_ids.tolist()
    wanted = np.zeros_like(given)
    for user, item, *_ in events(2):
        row, column = users.index(user), seen.item_ids.tolist().index(item)
        wanted[row, column] = given[row, column] == 0
    asked = wanted.any(axis=1)
    ranked, _ = model.predict_topk(seen.matrix[asked], 2)
    assert f"{recall_at_k(wanted[asked], ranked, 2):.4f}" in out
    assert f"{asked.sum()} users" in out


@pytest.mark.parametrize("k", [0, 1_001])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_wrong_k_is_found_before_the_work(run, log, tmp_path, k, fitted):  # noqa: F811
    folder = tmp_path / "model"
    if fitted:
        assert run(log, *NAMED, "-k", 1, "--model", folder, "-o", tmp_path / "o.csv") == (0, "")
        before = [path.read_bytes() for path in sorted(folder.iterdir())]
    said, out = run(log, *NAMED, "-k", k, "--model", folder, *(["--learn"] if fitted else []))
    assert "k must be at" in said and out == ""
    assert folder.exists() == fitted
    if fitted:
        assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


def test_a_closed_standard_output_is_said_before_the_work(log, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["sklsh", "recommend", str(log), *NAMED, "--model",
                                      str(tmp_path / "m")])  # fmt: skip
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit, match="standard output is closed"):
        cli.main()
    assert not (tmp_path / "m").exists()


def test_refusals(run, log, tmp_path):  # noqa: F811
    assert "has no column 'user'" in run(log)[0]
    assert "--learn needs --model" in run(log, *NAMED, "--learn")[0]
    assert "must end in one of" in run(log, *NAMED, "-o", tmp_path / "best.npz")[0]
    assert "'what' must be numbers" in run(log, *NAMED, "--weight", "what")[0]
    assert "must be numbers, or dates" in run(log, *NAMED, "--time", "what")[0]
    assert "time must name a column" in run(log, *NAMED, "--half-life", 2)[0]
    nobody = write(tmp_path / "nobody.csv", [*events(0), ["", "item 1", "2026-02-01", 1]])
    assert "who must have no missing values, got 1" in run(nobody, *NAMED)[0]
    (tmp_path / "twice.csv").write_text("who,what,who\na,b,c\n")
    assert "has 2 columns 'who'" in run(tmp_path / "twice.csv", *NAMED)[0]
    nothing = write(tmp_path / "later.csv", [["nobody", "item 1", "2026-02-01", 1]])
    assert "nobody has later an item" in run(log, *NAMED, "--test", nothing)[0]
    save_model(
        SparseLSHMLPClassifier((4,), max_iter=1).fit(np.eye(4), [0, 1, 0, 1]), tmp_path / "c"
    )
    assert "must hold a recommender" in run(log, *NAMED, "--model", tmp_path / "c")[0]
    np.savez(tmp_path / "matrix.npz", np.eye(3))
    assert "are of tables" in run(tmp_path / "matrix.npz", "--learn")[0]


@pytest.mark.parametrize("half_life", ["inf", "1e12", "nan", "0", "-3"])
def test_a_half_life_that_is_none(run, log, half_life):  # noqa: F811
    code, _ = run(log, *NAMED, "--time", "when", "--half-life", half_life)
    assert str(code).startswith("sklsh: --half-life must be in (0, ")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("zone", ["T00:00:00Z", "T02:00+02:00"])
def test_times_with_a_zone(run, tmp_path, zone):  # noqa: F811
    rows = events(0)
    aged = [*NAMED, "--time", "when", "--half-life", 3, "-k", 2]
    plain = run(write(tmp_path / "a.csv", rows), *aged)
    zoned = [[user, item, day + zone, much] for user, item, day, much in rows]
    assert run(write(tmp_path / "b.csv", zoned), *aged) == plain


def test_ids_of_another_kind_than_the_models_are_one_line(run, log, tmp_path):  # noqa: F811
    run(log, *NAMED, "--model", tmp_path / "m", "-o", tmp_path / "o.csv")
    numbers = tmp_path / "n.jsonl"
    numbers.write_text('{"who": 1, "what": 2}\n{"who": 2, "what": 3}\n')
    for options in ([], ["--learn"]):
        code, _ = run(numbers, *NAMED, "--model", tmp_path / "m", *options)
        assert code == "sklsh: item must be text, as before, got integers"
    code, _ = run(log, "--user", "who", "--item", "who")
    assert code == "sklsh: user and item must name two columns, got 'who' and 'who'"
