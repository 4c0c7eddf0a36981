"""Texts to names of labels: as an object, as files, and on the command line."""

import csv
import gzip
import json
import random
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV

from sklsh import SparseLSHMLPClassifier, TextTagger
from sklsh.cli.text import default_folder
from sklsh.datasets._tables import read_columns, split_labels
from sklsh.metrics import ndcg_at_k, precision_at_1_scorer, precision_at_k, psp_at_k
from sklsh.persistence import load_model, save_model

RNG = np.random.default_rng(0)
WORDS = {
    "früchte": ["apple", "pear", "plum", "grape", "Äpfel"],
    "cars": ["engine", "wheel", "motor", "road", "brake"],
    'say "hi"': ["hello", "goodbye", "welcome", "thanks", "please"],
    "北京": ["北京", "长城", "故宫", "烤鸭", "胡同"],
}
TAGS = [list(RNG.permutation(list(WORDS))[: RNG.integers(0, 3)]) for _ in range(120)]
TEXTS = [
    ' said: "'.join(
        str(RNG.choice(WORDS[tag])) + ",\n" + str(RNG.choice(WORDS[tag])) for tag in tags
    )
    for tags in TAGS
]
SMALL = SparseLSHMLPClassifier((16,), max_iter=20, random_state=0)


@pytest.fixture(scope="module")
def tagger():
    return TextTagger(SMALL).fit(TEXTS, TAGS)


def test_it_is_vectorizer_and_classifier(tagger):
    vectorizer = TfidfVectorizer(dtype=np.float32)
    X = vectorizer.fit_transform(TEXTS)
    names = sorted(WORDS)
    Y = np.array([[name in tags for name in names] for tags in TAGS], dtype=np.float32)
    assert tagger.classes_.tolist() == names
    np.testing.assert_array_equal(tagger.encode(TAGS).toarray(), Y)
    np.testing.assert_allclose(tagger.transform(TEXTS).toarray(), X.toarray(), rtol=1e-6)
    expected, scores = SMALL.fit(X, Y).predict_topk(X, 2)
    found, same = tagger.predict_topk(TEXTS, 2)
    assert found.tolist() == np.array(names)[expected].tolist()
    np.testing.assert_allclose(same, scores, rtol=1e-4)
    predicted = SMALL.predict(X)
    assert tagger.predict(TEXTS) == [
        [name for name, there in zip(names, row, strict=True) if there] for row in predicted
    ]


def test_it_learns(tagger):
    labels, scores = tagger.predict_topk(["a wheel and a brake", "烤鸭", ""], k=9)
    assert labels.shape == scores.shape == (3, 9)
    assert labels[0, 0] == "cars" and labels[1, 0] == "北京"
    assert (labels[:, 4:] == "").all() and np.isneginf(scores[:, 4:]).all()
    assert tagger.predict(["wheel motor"]) == [["cars"]]


def test_a_refit_knows_no_table_s_columns():
    tagger = TextTagger(SparseLSHMLPClassifier((4,), max_iter=1)).fit(
        ["red a", "blue b"], ["x", "y"]
    )
    tagger.columns_ = ["body", "tags", ","]  # as the command line does
    assert not hasattr(tagger.fit(["red a", "blue b"], ["x", "y"]), "columns_")


def test_to_a_folder_and_back(tagger, tmp_path):
    tagger.predict_topk(TEXTS[:1])
    save_model(tagger, tmp_path / "m")
    for mode in (None, "c"):
        again = load_model(tmp_path / "m", mmap_mode=mode)
        np.testing.assert_array_equal(
            again.predict_topk(TEXTS, 3)[0], tagger.predict_topk(TEXTS, 3)[0]
        )


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        ("one", [["a"]], TypeError, "texts must be a list"),
        (["one"], "a", TypeError, "labels must be a list"),
        (["a b", 3], [["a"], ["b"]], TypeError, "texts must be of str, got int at 1"),
        (["a b", "c"], [["a"], [7]], TypeError, "labels must be names .* got 7 at 1"),
        (["aa", "bb"], [["a"]], ValueError, "each of the 2 texts, got 1"),
        (["aa", "bb"], [["a"], ["b", ""]], ValueError, "labels must not be empty text.* at 1"),
        (["aa", "bb"], [["a"], ["a"]], ValueError, "2 different names, got 1"),
        (["", None], [["a"], ["b"]], ValueError, "texts must have words"),
    ],
)
def test_what_is_refused(texts, labels, error, message):
    with pytest.raises(error, match=message):
        TextTagger(SMALL).fit(texts, labels)


def write(path, kind):
    rows = [
        {"id": i, "body": text, "tags": tags} for i, (text, tags) in enumerate(zip(TEXTS, TAGS))
    ]
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        pd.DataFrame(rows).to_parquet(path)
    elif "json" in kind:
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    else:
        with (gzip.open if kind.endswith("gz") else open)(
            path, "wt", encoding="utf-8-sig", newline=""
        ) as file:
            writer = csv.DictWriter(
                file, ["id", "body", "tags"], delimiter="\t" if "tsv" in kind else ","
            )
            writer.writeheader()
            writer.writerows({**row, "tags": "; ".join(row["tags"])} for row in rows)


@pytest.mark.parametrize("kind", ["csv", "tsv.gz", "jsonl", "ndjson.gz", "parquet"])
def test_one_command_and_back(kind, tmp_path, run):
    path = tmp_path / f"texts.{kind}"
    write(path, kind)
    assert read_columns(path, ["body"])["body"] == TEXTS
    options = ["--hidden", 16, "--epochs", 20]
    code, out, err = run(
        "train", path, "--text", "body", "--labels", "tags", "--separator", ";", *options
    )
    assert code == 0, err
    assert "120 rows" in out and "4 labels: 20 epochs" in out
    expected = TextTagger(SMALL).fit(TEXTS, TAGS).predict_topk(TEXTS, 2)[0]
    code, out, err = run("predict", tmp_path / "texts.model", path, "-k", 2)
    assert code == 0, err
    assert [json.loads(line)["labels"] for line in out.splitlines()] == expected.tolist()
    code, out, err = run("evaluate", tmp_path / "texts.model", path)
    assert code == 0 and "precision" in out, err
    code, out, err = run("predict", tmp_path / "texts.model", path, "-o", tmp_path / "o.npz")
    assert code == 0, err
    with np.load(tmp_path / "o.npz") as found:
        np.testing.assert_array_equal(found["labels"][:, :2], expected)


def test_labels_in_a_field():
    fields = [
        "a, b,,",
        '["c", "d, e"]',
        "",
        None,
        float("nan"),
        ["f", "g"],
        np.array(["h"]),
        "[x]",
        3,
    ]
    assert split_labels(fields) == [
        ["a", "b"], ["c", "d, e"], [], [], [], ["f", "g"], ["h"], ["[x]"], ["3"]
    ]  # fmt: skip
    assert split_labels(["a b|c"], "|") == [["a b", "c"]]


DAMAGED = bytearray(gzip.compress(random.Random(0).randbytes(4000).hex().encode()))
DAMAGED[100:140] = bytes(40)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            b"bodi,tags\nx,y\n",
            "has no column 'body', but 'bodi', 'tags'; did you mean 'bodi'",
        ),
        ("a.csv", b"body,tags\na,b,c\n", "line 2: more fields than the header's 2"),
        ("a.csv", b'body,tags\n"a,b\n', "after line 1: unexpected end of data"),
        ("a.csv", b"body,tags\n\xff\xfe,b\n", "must be UTF-8"),
        ("a.csv", b"", "has no column 'body'"),
        ("a.csv", b"body,tags\n", "has no rows"),
        ("a.jsonl", b'{"body": "x", "tags": "y"}\n{', "line 2: no JSON"),
        ("a.jsonl", b"[1]\n", "line 1: must be an object"),
        ("a.jsonl", b'{"body": 3, "tags": "y"}\n', "row 1: 'body' must be text, got 3"),
        ("a.csv.gz", b"body,tags\n", "is damaged"),
        ("a.csv.gz", gzip.compress(b"body,tags\n" + b"a,b\n" * 99, mtime=0)[:30], "is damaged"),
        ("a.csv.gz", DAMAGED, "is damaged"),
        ("a.parquet", b"PAR1", "cannot be read as parquet|needs pyarrow"),
        ("a.xlsx", b"", "must end in one of .csv"),
    ],
)
def test_one_line_says_what_is_wrong_with_a_file(name, content, message, tmp_path, run):
    (tmp_path / name).write_bytes(content)
    code, _, err = run("train", tmp_path / name, "--text", "body", "--labels", "tags")
    assert code == 1 and "\n" not in err.strip()
    assert re.search(message, err), err
    assert name in err and not (tmp_path / "a.model").exists()


def test_folders_and_wrong_options(tmp_path, run, tagger):
    save_model(tagger, tmp_path / "m")
    (tmp_path / "a.csv").write_text("body,tags\nx,y\n")
    for arguments, message in [
        (["train", tmp_path, "--text", "a", "--labels", "b"], "is a folder; a table is one file"),
        (["train", tmp_path / "no.csv", "--text", "a", "--labels", "b"], "does not exist"),
        (["train", tmp_path / "a.csv", "--text", "body"], "give both, or none"),
        (["train", tmp_path / "a.csv", tmp_path / "n"], "is a table: name its columns"),
        (["train", tmp_path / "a.txt"], "MODEL_DIR is missing"),
        (["predict", tmp_path / "m", tmp_path / "a.csv"], "has no column 'text'"),
        (["predict", tmp_path / "m", tmp_path], "is a folder; a table is one file"),
    ]:
        code, _, err = run(*arguments)
        assert code == 1 and message in err and "\n" not in err.strip(), (arguments, err)


def test_any_container_of_rows(tagger):
    expected = tagger.predict_topk(TEXTS, 2)[0]
    column = pd.Series(TEXTS, index=range(len(TEXTS))[::-1])
    for texts in (column, column.to_frame("body"), np.array(TEXTS)[:, None], iter(TEXTS)):
        np.testing.assert_array_equal(tagger.predict_topk(texts, 2)[0], expected)
    for labels in (pd.Series(TAGS), pd.DataFrame({"tags": TAGS}), iter(TAGS)):
        again = TextTagger(SMALL).fit(column.to_frame("body"), labels)
        np.testing.assert_array_equal(again.predict_topk(TEXTS, 2)[0], expected)
    pa = pytest.importorskip("pyarrow")
    again = TextTagger(SMALL).fit(pa.array(TEXTS), pa.array(TAGS))
    np.testing.assert_array_equal(again.predict_topk(pa.chunked_array([TEXTS]), 2)[0], expected)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"a": "x", "b": "y"}, "texts must be a list of texts, in the order of rows, got dict"),
        ({"red", "blue"}, "in the order of rows, got set"),
        (b"red", "in the order of rows, got bytes"),
        (
            pd.DataFrame({"a": ["x"], "b": ["y"]}),
            r"of a frame one column, got DataFrame .*\(1, 2\)",
        ),
    ],
)
def test_rows_without_an_order_or_of_several_columns(tagger, texts, said):
    with pytest.raises(TypeError, match=said):
        tagger.predict(texts)
    with pytest.raises(TypeError, match=said):
        tagger.fit(texts, ["a", "b"])
    if not isinstance(texts, bytes):
        with pytest.raises(TypeError, match=said.replace("texts", "labels").split(",")[-1]):
            tagger.fit(["a", "b"], texts)


def test_no_texts(tagger):
    with pytest.raises(ValueError, match="texts must be at least one, got none"):
        tagger.predict([])


@pytest.mark.parametrize("ngram_range", [(2, 1), (1,), (0, 1), (1, "2"), (1, 2.0)])
def test_words_in_a_row(ngram_range):
    with pytest.raises((ValueError, TypeError), match="ngram_range"):
        TextTagger(SMALL, ngram_range=ngram_range).fit(TEXTS, TAGS)


def test_weights_of_labels_by_name():
    names = sorted(WORDS)
    by_name, by_column = (
        SparseLSHMLPClassifier((16,), max_iter=2, random_state=0, class_weight={key: 9.0})
        for key in (names[1], 1)
    )
    tagger = TextTagger(by_name).fit(TEXTS, TAGS)
    expected = by_column.fit(tagger.transform(TEXTS), tagger.encode(TAGS))
    np.testing.assert_array_equal(
        tagger.predict_topk(TEXTS, 4)[1], expected.predict_topk(tagger.transform(TEXTS), 4)[1]
    )
    assert tagger.classifier.class_weight == {names[1]: 9.0}
    with pytest.raises(ValueError, match="class_weight must name labels, got 'none'"):
        TextTagger(by_name.set_params(class_weight={"none": 2})).fit(TEXTS, TAGS)


def test_in_a_grid_search():
    search = GridSearchCV(
        TextTagger(SMALL), {"min_df": [1, 2]}, cv=3, scoring=precision_at_1_scorer
    ).fit(TEXTS, TAGS)
    half = TextTagger(SMALL).fit(TEXTS[40:], TAGS[40:])
    ranked = half.predict_topk(TEXTS[:40], 1)[0]
    expected = np.mean([row[0] in tags for row, tags in zip(ranked, TAGS[:40], strict=True)])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected)


def test_fields_that_are_lists():
    fields = ["['a', 'b, c']", '["a", null]', [1.0, 2.5, True], [None, "x", float("nan")], "[1"]
    assert split_labels(fields) == [
        ["a", "b, c"], ["a"], ["1", "2.5", "True"], ["x"], ["[1"]
    ]  # fmt: skip
    for wrong in ([["a", ["b"]]], [[{"name": "a"}]], [{"name": "a"}]):
        with pytest.raises(ValueError, match="row 1: labels must be text or numbers, got"):
            split_labels(wrong)


def test_one_column_is_read_once(tmp_path, run):
    (tmp_path / "a.csv").write_text("body,tags\nx,y\nz,w\n")
    assert read_columns(tmp_path / "a.csv", ["body", "body"]) == {"body": ["x", "z"]}
    code, _, err = run("train", tmp_path / "a.csv", "--text", "body", "--labels", "body")
    assert code == 1 and "must be two columns, got 'body' twice" in err


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a.v1.csv.gz", "a.v1.model"),
        ("a.v2.JSONL", "a.v2.model"),
        (".hidden.csv", ".hidden.model"),
        ("a.tsv", "a.model"),
    ],
)
def test_each_table_has_a_folder_of_its_own(name, folder):
    assert default_folder(Path("data", name)) == Path("data", folder)


@pytest.mark.parametrize("name", ["o.csv", "o.TSV.gz", "o.parquet"])
def test_lines_are_no_table(name, tmp_path, run, tagger):
    save_model(tagger, tmp_path / "m")
    (tmp_path / "a.csv").write_text("text\nx\n")
    code, _, err = run("predict", tmp_path / "m", tmp_path / "a.csv", "-o", tmp_path / name)
    assert code == 1 and "what is written are JSON lines; end in .jsonl" in err
    assert not (tmp_path / name).exists()


def test_labels_that_training_has_not_seen_are_missed(tmp_path, run):
    tagger = TextTagger(SMALL).fit(TEXTS, TAGS)
    save_model(tagger, tmp_path / "m", y_train=TAGS)
    tags = [[*row, "new", "newer"] if i % 2 else row for i, row in enumerate(TAGS)]
    lines = [json.dumps({"text": t, "labels": row}) for t, row in zip(TEXTS, tags, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    code, out, err = run("evaluate", tmp_path / "m", tmp_path / "a.jsonl")
    assert code == 0, err
    rows = {line.split("  ")[0].strip(): line.split()[-3:] for line in out.splitlines() if line}
    ranked = tagger.predict_topk(TEXTS, 5)[0]
    for name, metric in (
        ("precision", precision_at_k),
        ("nDCG", ndcg_at_k),
        ("propensity-scored precision", partial(psp_at_k, y_train=TAGS)),
    ):
        assert rows[name] == [f"{metric(tags, ranked, k=k):.4f}" for k in (1, 3, 5)]
