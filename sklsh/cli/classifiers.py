"""What the commands on classifiers do: train, evaluate, predict, compress, look."""

from __future__ import annotations

import pickle
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

import sklsh
from sklsh._utils.files import check_output
from sklsh._utils.validation import check_int
from sklsh.cli.baselines import nearest_neighbor_topk, popular_topk
from sklsh.cli.output import check_kind, json_lines, write_lines, write_scores
from sklsh.cli.screen import PLACES, at_places, console, table_of
from sklsh.cli.text import (
    check_is_text,
    default_folder,
    read_labelled,
    read_texts,
    train_tagger,
)
from sklsh.datasets import load_wordnet, load_xc
from sklsh.datasets._tables import is_table
from sklsh.metrics import jain_weights, ndcg_at_k, precision_at_k, psp_at_k
from sklsh.metrics._hits import places_of
from sklsh.persistence import (
    is_model_folder,
    load_model,
    read_label_counts,
    read_metadata,
    save_model,
)
from sklsh.persistence._places import check_place


def n_bytes(*matrices: sp.csr_matrix) -> int:
    return sum(m.data.nbytes + m.indices.nbytes + m.indptr.nbytes for m in matrices)


def warm_up(kinds: list[str] | None) -> None:
    """`sklsh warm-up`."""
    seconds = sklsh.warm_up(*(kinds or ()), verbose=True)
    console().print(f"compiled, or found compiled, in {seconds:.1f} s")


def demo(random_state: int) -> None:
    """`sklsh demo`."""
    X_train, X_test, Y_train, Y_test = load_wordnet(return_X_y=True)
    console().print(
        f"WordNet subset: {X_train.shape[0]:,} training rows, {X_test.shape[0]:,} test rows, "
        f"{X_train.shape[1]:,} features, {Y_train.shape[1]:,} labels"
    )
    with console().status("compiling kernels (the first run on a machine takes longer)"):
        start = perf_counter()
        few = slice(0, 500)
        sklsh.SparseLSHMLPClassifier((8,), max_iter=1, random_state=0).fit(
            X_train[few], Y_train[few]
        ).predict_topk(X_test[few])
    console().print(f"kernels compiled, or found compiled: {perf_counter() - start:.1f} s")

    start = perf_counter()
    model = sklsh.SparseLSHMLPClassifier(random_state=random_state).fit(X_train, Y_train)
    trained = perf_counter()
    ranked, _ = model.predict_topk(X_test, k=max(PLACES))
    done = perf_counter()
    rows = [
        [
            "SparseLSHMLPClassifier",
            *at_places(precision_at_k, Y_test, ranked),
            f"{trained - start:.1f} s",
            f"{done - trained:.1f} s",
            f"{len(pickle.dumps(model)) / 1e6:.1f} MB",
        ]
    ]
    start = perf_counter()
    ranked = nearest_neighbor_topk(X_train, Y_train, X_test, max(PLACES))
    rows.append(
        [
            "30 nearest neighbours",
            *at_places(precision_at_k, Y_test, ranked),
            "",
            f"{perf_counter() - start:.1f} s",
            f"{n_bytes(X_train, Y_train) / 1e6:.1f} MB",
        ]
    )
    ranked = popular_topk(Y_train, X_test.shape[0], max(PLACES))
    rows.append(["commonest labels", *at_places(precision_at_k, Y_test, ranked), "", "", ""])
    columns = ["", *(f"P@{k}" for k in PLACES), "train", "predict", "size"]
    table_of("On the test rows", columns, rows)


def train(
    data: Path,
    model_dir: Path | None,
    text: str | None,
    labels: str | None,
    separator: str,
    effort: str,
    hidden: list[int] | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    dropout: float | None,
    sampler: str,
    n_active: int | None,
    neighbors: int | None,
    checkpoint: Path | None,
    subset: str,
    random_state: int,
    jobs: int | None,
) -> None:
    """`sklsh train`."""
    # Long: a line for each option of the command.
    if (text is None) != (labels is None):
        raise ValueError("--text and --labels name two columns of a table: give both, or none")
    if text is None and is_table(data):
        raise ValueError(f"{data} is a table: name its columns with --text and --labels")
    if text is None and model_dir is None:
        raise ValueError("MODEL_DIR is missing: where to write the model")
    model_dir = default_folder(data) if model_dir is None else model_dir
    check_place(model_dir)
    place = model_dir.absolute()  # ".", once a model takes its place, is a folder that is gone
    automatic = {
        "max_iter": epochs,
        "batch_size": batch_size,
        "learning_rate_init": learning_rate,
        "dropout": dropout,
        "n_active": n_active,
        "n_neighbors": neighbors,
        "checkpoint_dir": checkpoint,
    }
    classifier = sklsh.SparseLSHMLPClassifier(
        tuple(hidden) if hidden else "auto",
        effort=effort,
        sampler=sampler,
        random_state=random_state,
        n_jobs=jobs,
        verbose=console().is_terminal,
        **{name: value for name, value in automatic.items() if value is not None},
    )
    model: Any = classifier
    start = perf_counter()
    if text is not None and labels is not None:
        model, Y = train_tagger(data, text, labels, separator, classifier)
        classifier = model.classifier_
    else:
        X, Y = load_xc(data, subset)
        start = perf_counter()
        classifier.fit(X, Y)
    seconds = perf_counter() - start
    save_model(model, place, y_train=Y)
    size = read_metadata(place)["model_bytes"] / 1e6
    console().print(
        f"trained on {Y.shape[0]:,} rows, {classifier.n_features_in_:,} features, "
        f"{Y.shape[1]:,} labels: {classifier.n_iter_} epochs "
        f"in {seconds:.1f} s, {size:.1f} MB in {model_dir}"
    )


def load_classifier(model_dir: Path):
    # Mapped and private: kernels compiled for ordinary arrays serve these too.
    model = load_model(model_dir, mmap_mode="c")
    if not hasattr(model, "classes_"):
        raise ValueError(f"{model_dir} must hold a classifier, got {type(model).__name__}")
    return model


def rank_data(model_dir: Path, model, X, k: int):
    """A model's ranking of X, with what does not fit said in terms of the files."""
    if X.shape[1] != model.n_features_in_:
        raise ValueError(
            f"the model in {model_dir} needs {model.n_features_in_} features, "
            f"the data has {X.shape[1]}"
        )
    labels, scores = model.predict_topk(X, k=k)
    names = getattr(model, "label_names_", None)
    classes = np.asarray(model.classes_)
    if names is None and not np.array_equal(classes, np.arange(classes.shape[0])):
        names = classes
    if names is not None:  # files have numbers below n_labels: the places of names
        labels = np.where(np.isneginf(scores), -1, places_of(names, labels))
    return labels, scores


def evaluate(
    model_dir: Path,
    data: Path,
    text: str | None,
    labels: str | None,
    subset: str,
    a: float,
    b: float,
) -> None:
    """`sklsh evaluate`."""
    model = load_classifier(model_dir)
    is_text = check_is_text(model_dir, model, text, data)
    if is_text:
        (X, Y), model = read_labelled(data, model, text, labels), model.classifier_
    else:
        X, Y = load_xc(data, subset)
    start = perf_counter()
    ranked, _ = rank_data(model_dir, model, X, max(PLACES))
    seconds = perf_counter() - start
    n_labels = len(model.classes_)
    if Y.shape[1] != n_labels and not is_text:
        raise ValueError(f"the model in {model_dir} has {n_labels} labels, the data {Y.shape[1]}")
    rows = [
        ["precision", *at_places(precision_at_k, Y, ranked)],
        ["nDCG", *at_places(ndcg_at_k, Y, ranked)],
    ]
    counted = read_label_counts(model_dir)
    if counted is not None:
        counts, n_samples = counted
        # Labels that training rows had not, of texts.
        n_others = max(0, Y.shape[1] - counts.shape[0])
        counts = np.concatenate([counts, np.zeros(n_others, dtype=np.int64)])
        worth = jain_weights(counts, n_samples, A=a, B=b)

        def psp(y_true, y_score, k):
            return psp_at_k(y_true, y_score, k, inverse_propensities=worth)

        rows.append(["propensity-scored precision", *at_places(psp, Y, ranked)])
    table_of(
        f"{X.shape[0]:,} rows, ranked in {seconds:.1f} s", ["", *map("@{}".format, PLACES)], rows
    )


def predict(
    model_dir: Path, data: Path, text: str | None, k: int, output: Path | None, subset: str
) -> None:
    """`sklsh predict`."""
    check_int(k, "k", 1)
    if output is not None:
        check_output(output)
    model = load_classifier(model_dir)
    is_text = check_is_text(model_dir, model, text, data)
    check_kind(output, json=is_text)
    if is_text:
        labels, scores = model.predict_topk(read_texts(data, model, text), k=k)
        write_lines(output, json_lines(labels, scores), labels=labels, scores=scores)
        return
    X, _ = load_xc(data, subset)
    labels, scores = rank_data(model_dir, model, X, k)
    write_scores(output, labels, scores, len(model.classes_))


def compress(
    model_dir: Path, output: Path, bytes_per_label: int, body: str, neighbors: bool, linear: bool
) -> None:
    """`sklsh compress`."""
    check_place(output)
    model = load_model(model_dir, mmap_mode="c")
    if not isinstance(model, sklsh.SparseLSHMLPClassifier):
        raise ValueError(
            f"{model_dir} must hold a SparseLSHMLPClassifier, got a {type(model).__name__}"
        )
    # The small one may replace it.
    before, counts = read_metadata(model_dir)["model_bytes"], read_label_counts(model_dir)
    small = model.compress(bytes_per_label, body=body, neighbors=neighbors, linear=linear)
    save_model(small, output, label_counts=counts)
    after = read_metadata(output)["model_bytes"]
    console().print(
        f"{before / 1e6:.1f} MB to {after / 1e6:.1f} MB ({after / before:.1%}) in {output}"
    )


def info(path: Path) -> None:
    """`sklsh info`."""
    if is_model_folder(path):
        metadata = read_metadata(path)
        rows = [["class", metadata["class"]], ["size", f"{metadata['model_bytes']:,} bytes"]]
        rows += [[f"made with {name}", str(v)] for name, v in metadata["versions"].items()]
        rows += [
            [f"{name}[{i}]", " x ".join(f"{n:,}" for n in shape)]
            for name, shapes in metadata["shapes"].items()
            for i, shape in enumerate(shapes)
        ]
        rows += [[name, f"{n:,} bytes"] for name, n in metadata["memory"].items()]
        rows += [[name, table_stat(value)] for name, value in metadata["table_stats"].items()]
        rows += [[name, value] for name, value in metadata["params"].items()]
        table_of(f"Model in {path}", ["", ""], rows)
        return
    found = {"file": load_xc(path)} if path.is_file() else folder_sets(path)
    columns = [facts_of(X, Y) for X, Y in found.values()]
    rows = [[fact, *(column[fact] for column in columns)] for fact in columns[0]]
    table_of(f"Data in {path}", ["", *found], rows)


def table_stat(value) -> str:
    """A number, or the range of one that each table has."""
    if not isinstance(value, list):
        return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
    return f"{min(value):,.4g} to {max(value):,.4g}"


def facts_of(X, Y) -> dict[str, str]:
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    return {
        "rows": f"{X.shape[0]:,}",
        "features": f"{X.shape[1]:,}",
        "labels": f"{Y.shape[1]:,}",
        "features a row": f"{X.nnz / X.shape[0]:.1f}",
        "labels a row": f"{Y.nnz / Y.shape[0]:.2f}",
        "rows without labels": f"{np.count_nonzero(np.diff(Y.indptr) == 0):,}",
        "labels that occur": f"{np.count_nonzero(counts):,}",
        "share of the commonest label": f"{counts.max() / Y.shape[0]:.3f}",
    }


def folder_sets(path: Path) -> dict:
    found = {}
    for name in ("train", "test"):
        try:
            found[name] = load_xc(path, name)
        except FileNotFoundError:
            if name == "test" and not found:
                raise
    return found
