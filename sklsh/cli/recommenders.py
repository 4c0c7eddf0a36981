"""What ``sklsh recommend`` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

import sklsh
from sklsh._utils.files import check_output
from sklsh._utils.matrices import read_matrix
from sklsh._utils.validation import check_depth, check_int, check_sparse
from sklsh.cli import event_tables
from sklsh.cli.event_tables import Columns
from sklsh.cli.output import check_kind, write_scores
from sklsh.cli.screen import table_of
from sklsh.datasets._tables import is_table
from sklsh.metrics import ndcg_at_k, recall_at_k
from sklsh.persistence import load_model, save_model
from sklsh.persistence._places import check_place


def recommend(
    data: Path,
    model_dir: Path | None,
    test: Path | None,
    k: int,
    output: Path | None,
    random_state: int,
    jobs: int | None,
    columns: Columns,
    half_life: float | None,
    learn: bool,
) -> None:
    """`sklsh recommend`."""
    # Long: a line for each option of the command.
    check_int(k, "k", 1)
    if output is not None:
        check_output(output)
    if model_dir is not None:
        check_place(model_dir)
    if is_table(data):
        model = None if model_dir is None else model_in(model_dir, mmap_mode=None)
        if learn and model is None:
            raise ValueError("--learn needs --model, a folder of a model to continue with")
        event_tables.recommend(
            data, columns, half_life, model, model_dir if learn or model is None else None, learn,
            test, k, output, random_state, jobs,
        )  # fmt: skip
        return
    if learn or half_life is not None or columns.time is not None or columns.weight is not None:
        raise ValueError(f"--time, --weight, --half-life and --learn are of tables, got {data}")
    check_kind(output)
    user_items = load_user_items(data)
    # A wrong test file should not be found after the training.
    later = None if test is None else load_user_items(test)
    if test is not None and later is not None:
        _check_any(test, later)
        if later.shape != user_items.shape:
            raise ValueError(
                f"{test} must be of the shape of {data}, {user_items.shape}, got {later.shape}"
            )
    check_depth(k, "k", user_items.shape[1])
    model = None if model_dir is None else model_in(model_dir)
    if model is not None:
        if user_items.shape[1] != model.n_features_in_:
            raise ValueError(
                f"the model in {model_dir} needs {model.n_features_in_} items, "
                f"{data} has {user_items.shape[1]}"
            )
    else:
        _check_any(data, user_items)
        model = sklsh.LSHRecommender(random_state=random_state, n_jobs=jobs).fit(user_items)
        if model_dir is not None:
            save_model(model, model_dir)
    items, scores = model.predict_topk(user_items, k)
    if later is not None:
        asked = np.flatnonzero(np.diff(later.indptr))
        figures = [metric(later[asked], items[asked], k) for metric in (recall_at_k, ndcg_at_k)]
        table_of(
            f"{asked.shape[0]:,} users with later items",
            [f"recall@{k}", f"nDCG@{k}"],
            [[f"{figure:.4f}" for figure in figures]],
        )
    if output is not None or later is None:
        write_scores(output, items, scores, user_items.shape[1])


def model_in(folder: Path, mmap_mode="c"):
    """The recommender of a folder; None if there is none yet."""
    if not _is_there(folder):
        return None
    model = load_model(folder, mmap_mode=mmap_mode)
    if not isinstance(model, sklsh.LSHRecommender):
        raise ValueError(f"{folder} must hold a recommender, got {type(model).__name__}")
    return model


def _check_any(path: Path, user_items: sp.csr_matrix) -> None:
    if not user_items.count_nonzero():
        raise ValueError(f"{path} must have a user with an item, it has none")


def _is_there(model_dir: Path) -> bool:
    """Whether there is a model to use; what is left of one is not written over."""
    return model_dir.is_dir() and any(model_dir.iterdir())


def load_user_items(path: Path) -> sp.csr_matrix:
    matrix = read_matrix(path)
    try:
        user_items = sp.csr_matrix(check_sparse(matrix, path.name))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not user_items.shape[0]:
        raise ValueError(f"{path} has no users")
    wrong = ~((user_items.data >= 0) & (user_items.data < np.inf))
    if wrong.any():
        raise ValueError(
            f"{path} must have finite entries of at least 0, got {user_items.data[wrong][0]}"
        )
    return user_items
