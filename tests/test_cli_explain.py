"""``sklsh explain``: which of a user's items speak for what they are recommended."""

import csv
import io
import json
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import LSHRecommender, cli
from sklsh.datasets import Interactions
from sklsh.persistence import load_model, save_model
from tests.test_cli_events import NAMED, columns_of, events, write

HEADER = ["user", "item", "rank", "score", "because", "contribution"]


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sklsh", "explain", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write(tmp_path_factory.mktemp("events") / "log.csv", events(0))


@pytest.fixture(scope="module")
def seen():
    return Interactions.from_events(columns_of(events(0)), user="who", item="what", weight="much")


@pytest.fixture(scope="module")
def folder(seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    model = LSHRecommender((16,), random_state=0).fit(seen.matrix, item_ids=seen.item_ids)
    save_model(model, folder)
    return folder


def expected(model, seen, names, k, n):
    """Rows by asking `explain` for one item at a time."""
    for name in names:
        row = seen.rows(name)
        ids, _ = model.recommend(0, row, N=k)
        for rank, item in enumerate(ids, 1):
            score, because, contributions = model.explain(0, row, item, N=n)
            for reason, by in zip(because, contributions, strict=True):
                if reason:
                    yield [name, item, rank, score, reason, by]


def test_reasons_by_name(run, log, folder, seen):
    weighted = *NAMED, "--weight", "much"
    asked = "--of", "user 4", "--of", "user 3", "-k", 2, "--reasons", 2
    code, out, err = run(log, "--model", folder, *weighted, *asked)
    assert (code, err) == (0, "")
    header, *rows = csv.reader(out.splitlines())
    wanted = list(expected(load_model(folder), seen, ["user 4", "user 3"], 2, 2))
    assert header == HEADER and len(rows) == len(wanted) == 8
    for row, right in zip(rows, wanted, strict=True):
        assert row[:3] == [str(part) for part in right[:3]] and row[4] == right[4]
        np.testing.assert_allclose(
            np.array(row[3::2], dtype=float), right[3::2], rtol=1e-4, atol=1e-5
        )
    first = [row for row in rows if row[2] == "1"]
    assert all(float(row[5]) > 0 for row in first[::2]), "items of the same taste"


@pytest.mark.parametrize("ending", [".csv.gz", ".tsv", ".jsonl", ".parquet"])
def test_files_hold_the_same(run, log, folder, tmp_path, ending):
    parquet = pytest.importorskip("pyarrow.parquet") if ending == ".parquet" else None
    path = tmp_path / f"why{ending}"
    arguments = log, "--model", folder, *NAMED, "--of", "user 1"
    assert run(*arguments, "-o", path) == (0, "", "")
    printed = [row[:3] + row[4:5] for row in csv.reader(run(*arguments)[1].splitlines())][1:]
    if parquet:
        table = parquet.read_table(path)
        assert table.column_names == HEADER and str(table.schema.field("rank").type) == "int32"
        rows = table.to_pylist()
    elif ending == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert list(rows[0]) == HEADER and isinstance(rows[0]["contribution"], float)
    else:
        import pandas as pd

        rows = pd.read_csv(path, sep="\t" if ending == ".tsv" else ",").to_dict("records")
    found = [[str(row[name]) for name in ("user", "item", "rank", "because")] for row in rows]
    assert found == printed and len(found) == 5 * 3


def test_users_of_a_matrix_are_row_numbers(run, tmp_path):
    user_items = sp.csr_array(np.kron(np.eye(2), np.ones((10, 5)))).tolil()
    user_items[0, 4] = 0
    user_items[1, 1:] = 0
    model = LSHRecommender((8,), random_state=0).fit(user_items.tocsr())
    save_model(model, tmp_path / "m")
    sp.save_npz(tmp_path / "log.npz", user_items.tocsr())
    arguments = tmp_path / "log.npz", "--model", tmp_path / "m", "-k", 1, "--reasons", 9
    code, out, err = run(*arguments, "--of", 0, "--of", 1)
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and {(row["user"], row["item"]) for row in rows} == {("0", "4")}
    assert sorted(row["because"] for row in rows) == ["0", "1", "2", "3"]
    assert "1 users with less than two items" in err
    users = [row["user"] for row in csv.DictReader(run(*arguments)[1].splitlines())]
    assert set(users) == {str(user) for user in range(20) if user != 1}


def test_refusals(run, log, folder, tmp_path):
    sp.save_npz(tmp_path / "narrow.npz", sp.csr_array(np.eye(3)))
    for arguments, message in (
        ((log, "--model", tmp_path / "no"), "must hold a model"),
        ((log, "--model", folder, *NAMED, "--of", "nobody"), "--of must name users"),
        ((log, "--model", folder, *NAMED, "--reasons", 0), "--reasons must be"),
        ((log, "--model", folder, *NAMED, "-k", 0), "k must be"),
        ((log, "--model", folder, *NAMED, "-o", tmp_path / "why.npz"), "must end in one of"),
        ((tmp_path / "narrow.npz", "--model", folder), "needs 15 items"),
        ((tmp_path / "narrow.npz", "--model", folder, "--time", "when"), "are of tables"),
    ):
        code, out, err = run(*arguments)
        assert not out and message in str(code) + err, arguments
    assert not (tmp_path / "why.npz").exists()


def test_more_reasons_than_there_can_be_are_found_before_the_first_line(run, log, folder):
    code, out, _ = run(log, *NAMED, "--model", folder, "--reasons", 1_001)
    assert "--reasons must be at most 1000" in code and out == ""


def test_a_parquet_file_without_rows_can_be_read(run, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    one = write(tmp_path / "one.csv", [["ann", "item 1", "2026-02-01", 1]])
    assert run(one, *NAMED, "--model", folder, "-o", tmp_path / "o.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "o.parquet")
    assert table.num_rows == 0 and table.column_names == HEADER


def test_names_that_standard_output_does_not_take(log, folder, monkeypatch, tmp_path):
    text = log.read_text().replace("user 1,", "üser 1,")
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    arguments = ["explain", tmp_path / "log.csv", *NAMED, "--model", folder]
    monkeypatch.setattr(sys, "argv", ["sklsh", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    with pytest.raises(SystemExit, match=r"cannot be in ascii .* set PYTHONIOENCODING=utf-8, or"):
        cli.main()
