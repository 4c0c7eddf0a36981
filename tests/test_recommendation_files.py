"""`LSHRecommender.recommend_to`: what is written is what `recommend` says, batch by batch."""

import csv
import gzip
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sklsh import LSHRecommender
from tests.test_recommender import SMALL, checkerboard

ITEMS = np.array([f"item {i}, “{i}”" for i in range(10)])
USERS = np.array([f"user {i}" for i in range(60)])


@pytest.fixture(scope="module")
def board():
    users = checkerboard()[0].copy()
    users[7] = 1  # has everything: nothing is named
    return sp.csr_array(users)


@pytest.fixture(scope="module")
def fitted(board):
    return LSHRecommender(**SMALL).fit(board, item_ids=ITEMS)


@pytest.fixture(scope="module")
def wanted(board, fitted):
    """Rows of user, item, rank and score."""
    ids, scores = fitted.recommend(np.arange(60), board, N=3)
    return [
        (USERS[u], ids[u, place], place + 1, scores[u, place])
        for u in range(60)
        for place in range(3)
        if np.isfinite(scores[u, place])
    ]


def read_table(path):
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rows = list(csv.reader(text.splitlines(), delimiter="\t" if ".tsv" in path.name else ","))
    assert rows[0] == ["user", "item", "rank", "score"]
    return [(user, item, int(rank), float(score)) for user, item, rank, score in rows[1:]]


def assert_rows(found, wanted):
    assert [row[:3] for row in found] == [row[:3] for row in wanted]
    np.testing.assert_allclose([row[3] for row in found], [row[3] for row in wanted], rtol=1e-5)


@pytest.mark.parametrize("name", ["best.csv", "best.tsv", "best.csv.gz", "BEST.CSV"])
@pytest.mark.parametrize("batch_size", [7, 8192])
def test_tables_are_the_answers(board, fitted, wanted, tmp_path, name, batch_size):
    n = fitted.recommend_to(tmp_path / name, board, USERS, N=3, batch_size=batch_size)
    assert n == 59
    assert_rows(read_table(tmp_path / name), wanted)


def test_lines_are_the_answers(board, fitted, wanted, tmp_path):
    assert fitted.recommend_to(tmp_path / "best.jsonl", board, USERS, N=3) == 59
    lines = [json.loads(line) for line in (tmp_path / "best.jsonl").read_text().splitlines()]
    assert [line["user"] for line in lines] == USERS.tolist()
    assert lines[7]["items"] == lines[7]["scores"] == []
    found = [
        (line["user"], item, rank, score)
        for line in lines
        for rank, (item, score) in enumerate(zip(line["items"], line["scores"], strict=True), 1)
    ]
    assert_rows(found, wanted)


def test_parquet_is_the_answers(board, fitted, wanted, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    fitted.recommend_to(tmp_path / "best.parquet", board, USERS, N=3, batch_size=20)
    table = parquet.read_table(tmp_path / "best.parquet")
    assert table.column_names == ["user", "item", "rank", "score"]
    columns = [column.to_pylist() for column in table.columns]
    assert_rows(list(zip(*columns, strict=True)), wanted)


def test_row_numbers_and_further_arguments(board, tmp_path, capsys):
    model = LSHRecommender(**SMALL).fit(board)
    model.recommend_to(tmp_path / "a.csv", board, N=1, items=[2, 3], verbose=True, batch_size=30)
    rows = read_table(tmp_path / "a.csv")
    assert {row[1] for row in rows} <= {"2", "3"}
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), key=int)
    assert capsys.readouterr().out


def test_a_batch_is_all_that_is_asked_for_at_a_time(board, fitted, tmp_path, monkeypatch):
    sizes, plain = [], LSHRecommender.recommend

    def watched(self, users, *rest, **how):
        sizes.append(len(users))
        return plain(self, users, *rest, **how)

    monkeypatch.setattr(LSHRecommender, "recommend", watched)
    fitted.recommend_to(tmp_path / "a.csv", board, batch_size=25)
    assert sizes == [25, 25, 10]


def test_a_failure_leaves_the_file_of_before(board, fitted, tmp_path):
    path = tmp_path / "best.csv"
    path.write_text("of yesterday")
    with pytest.raises(ValueError, match="diversity must be"):
        fitted.recommend_to(path, board, diversity=2)
    assert path.read_text() == "of yesterday" and list(tmp_path.iterdir()) == [path]


def test_refusals(board, fitted, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"must end in one of \.csv, \.tsv, \.jsonl, \.parquet"):
        fitted.recommend_to(tmp_path / "best.xls", board)
    with pytest.raises(ValueError, match="must end in one of"):
        fitted.recommend_to(tmp_path / "best.parquet.gz", board)
    with pytest.raises(ValueError, match="must end in one of"):
        fitted.recommend_to(tmp_path / "csv", board)
    with pytest.raises(ValueError, match=r"user_ids must be 1-d, one for each of the 60 rows"):
        fitted.recommend_to(tmp_path / "best.csv", board, USERS[:3])
    with pytest.raises(ValueError, match="batch_size must be"):
        fitted.recommend_to(tmp_path / "best.csv", board, batch_size=0)
    with pytest.raises(FileNotFoundError):
        fitted.recommend_to(tmp_path / "nowhere" / "best.csv", board)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match="parquet needs pyarrow"):
        fitted.recommend_to(tmp_path / "best.parquet", board)
    assert not list(tmp_path.iterdir())


def test_each_batch_asks_for_the_same_items(board, fitted, tmp_path):
    few = ITEMS[:3]
    for options in ({"items": few}, {"filter_items": few}):
        fitted.recommend_to(tmp_path / "a.csv", board, USERS, N=3, batch_size=7, **options)
        once = {name: iter(value.tolist()) for name, value in options.items()}
        fitted.recommend_to(tmp_path / "b.csv", board, USERS, N=3, batch_size=7, **once)
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_frames_are_asked_by_the_names_of_their_columns(board, tmp_path, recwarn):
    frame = pd.DataFrame(board.toarray(), columns=ITEMS)
    model = LSHRecommender(**SMALL).fit(frame)
    model.recommend_to(tmp_path / "a.csv", frame, batch_size=7)
    model.recommend_to(
        tmp_path / "b.csv", pd.DataFrame.sparse.from_spmatrix(board, columns=ITEMS), batch_size=7
    )
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not [w for w in recwarn if "feature names" in str(w.message)]
    with pytest.raises(ValueError, match="feature names should match"):
        model.recommend_to(tmp_path / "c.csv", frame.iloc[:, ::-1])
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("user_ids", "error", "said"),
    [
        (set(range(60)), TypeError, "in the order of the rows, got a set"),
        (np.arange(60) + 0.5, TypeError, "integers or text, got dtype float64"),
        ([1, "b"] * 30, TypeError, "integers or text, got dtype object"),
        ([1, 2], ValueError, "one for each of the 60 rows"),
    ],
)
def test_users_without_names(board, fitted, tmp_path, user_ids, error, said):
    with pytest.raises(error, match=said):
        fitted.recommend_to(tmp_path / "a.csv", board, user_ids)


def test_one_row_is_no_matrix(board, fitted, tmp_path):
    for row in (board[0], board.toarray()[0]):
        with pytest.raises(ValueError, match=r"user_items must be 2-d, got shape \(10,\)"):
            fitted.recommend_to(tmp_path / "a.csv", row)


def test_a_carriage_return_in_a_name_ends_no_row(board, fitted, tmp_path):
    users = np.array([f"user\r{i}" for i in range(60)])
    fitted.recommend_to(tmp_path / "a.csv", board, users, N=3)
    found = pd.read_csv(tmp_path / "a.csv")
    assert found.user.unique().tolist() == np.delete(users, 7).tolist()
    assert found["rank"].tolist()[:3] == [1, 2, 3]
