"""SparseLSHMLPClassifier in use: streams, warm starts, early stopping, weights, searches."""

import copy
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import estimator_html_repr

from sklsh import SparseLSHMLPClassifier
from sklsh.network.calibration import hits
from sklsh.network.holdout import held_out
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import All
from sklsh.network.trainer import Trainer
from sklsh.network.validation_rows import ValidationRows
from tests.test_classifier import (
    assert_same_model,
    multiclass,
    precision_at_1,
    small,
    wide_problem,
)


@pytest.fixture(scope="module")
def wide():
    return wide_problem()


# Streams ----------------------------------------------------------------------------------


def stream(model, X, y, size=100, n_passes=3, **first):
    for at_pass in range(n_passes):
        for start in range(0, X.shape[0], size):
            options = first if at_pass == start == 0 else {}
            model.partial_fit(X[start : start + size], y[start : start + size], **options)
    return model


def test_a_stream_learns_as_fit_does(wide):
    X, Y, X_test, Y_test = wide
    params = {"batch_size": 50, "hidden_layer_sizes": (64,)}
    streamed = stream(small(**params), X, Y)
    assert streamed.n_iter_ == len(streamed.loss_curve_) == 30
    fitted = small(n_neighbors=0, linear=False, **params).fit(X, Y)
    scores = [precision_at_1(model, X_test, Y_test) for model in (streamed, fitted)]
    assert scores[0] > scores[1] - 0.05 and scores[1] > 0.4
    assert streamed.predict(X_test).nnz == pytest.approx(Y_test.nnz, rel=0.2)


def test_classes_that_come_late():
    X, y = multiclass()
    late = y == 40
    model = small(batch_size=20)
    model.partial_fit(X[~late], y[~late], classes=[40, 7, 5, -3])
    assert model.classes_.tolist() == [-3, 5, 7, 40]
    assert not (model.predict(X) == 40).any()
    # A part of a stream need not have every class, and may have only the new one: one step
    # on 20 rows is enough to know most of its rows.
    model.partial_fit(X[late][:20], y[late][:20])
    assert (model.predict(X[late][20:]) == 40).mean() > 0.5
    stream(model, X, y, n_passes=1)
    assert model.score(X, y) > 0.9


def test_labels_that_come_late(wide):
    X, Y, X_test, Y_test = wide
    half = np.arange(300) < 150
    early, late, late_test = Y.toarray(), Y.toarray(), Y_test.toarray()
    early[:, ~half], late[:, half], late_test[:, half] = 0, 0, 0
    rows = late_test.any(axis=1)

    def judge(model):
        return precision_at_1(model, X_test[rows], sp.csr_matrix(late_test[rows]))

    model = small(sampler="random", n_active=50, batch_size=50, hidden_layer_sizes=(64,))
    stream(model, X, sp.csr_matrix(early), n_passes=1)
    assert judge(model) == 0 and not model.network_.head_weights[~half].any()
    assert half[model.predict_topk(X_test, 5)[0]].all()
    stream(model, X, sp.csr_matrix(late), n_passes=2)
    # The commonest of the late labels would be right for a tenth of the rows.
    assert judge(model) > 0.25 > 2 * late_test[rows].mean(axis=0).max()


def test_a_part_without_labels_changes_nothing(wide):
    X, Y, *_ = wide
    model = small(sampler="labels").partial_fit(X[:100], Y[:100])
    before = [a.copy() for a in model.coefs_]
    model.partial_fit(X[100:200], 0 * Y[100:200])
    for ours, theirs in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fit_then_stream_keeps_threshold_and_neighbors(wide):
    X, Y, *_ = wide
    model = small().fit(X[:800], Y[:800])
    threshold, memory = model.threshold_, model.learner_.memory
    model.partial_fit(X[800:], Y[800:])
    assert model.threshold_ == threshold and model.learner_.memory is memory
    assert_same_model(small().fit(X, Y), model.fit(X, Y))


def test_settings_of_the_sampler_may_change_in_a_stream(wide):
    X, Y, *_ = wide
    model = small(sampler="uniform", n_active=5).partial_fit(X[:100], Y[:100])
    same = model.learner_.sampler
    model.partial_fit(X[:100], Y[:100])
    assert model.learner_.sampler is same
    model.set_params(n_active=50).partial_fit(X[:100], Y[:100])
    assert model.learner_.sampler.n_active == 50
    model.set_params(sampler="all").partial_fit(X[:100], Y[:100])
    assert isinstance(model.learner_.sampler, All)


@pytest.mark.parametrize("sampler", ["all", "uniform", "random", "labels", "lsh"])
def test_a_stream_that_begins_without_labels(wide, sampler):
    X, Y, *_ = wide
    # The only rows that have labels count for nothing.
    none = sp.vstack([Y[:50], sp.csr_matrix((50, Y.shape[1]))]).tocsr()
    model = small(sampler=sampler)
    model.partial_fit(X[:100], none, sample_weight=np.repeat([0.0, 1.0], 50))
    assert model.predict(X[:10]).nnz == 0
    with pytest.raises(ValueError, match="compress needs a model that has learnt a label"):
        model.compress()
    model.partial_fit(X[:100], Y[:100])
    seen = np.flatnonzero(Y[:100].sum(axis=0))
    assert np.isin(model.predict_topk(X[:10], 3)[0], seen).all()


def test_fit_needs_a_label_in_a_row_that_counts(wide):
    X, Y, *_ = wide
    Y = sp.vstack([Y[:50], sp.csr_matrix((50, Y.shape[1]))]).tocsr()
    with pytest.raises(ValueError, match="a positive entry in a row of positive weight"):
        small().fit(X[:100], Y, sample_weight=np.repeat([0.0, 1.0], 50))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_only_rows_that_have_labels_are_not_held_out(wide, early_stopping):
    X, Y, *_ = wide
    seed = small().fit(X, Y).learner_.seed
    spared = held_out(SparseRows.from_matrix(X), seed, X.shape[0] // 10)[0]
    labels = sp.lil_matrix(Y.shape)
    labels[spared[:3], [4, 4, 7]] = 1
    model = small(early_stopping=early_stopping)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # early stopping has nothing to go by
        model.fit(X, labels.tocsr())
    assert model.predict_topk(X[spared[:3]], 1)[0].ravel().tolist() == [4, 4, 7]


# Warm starts and early stopping -----------------------------------------------------------


def test_warm_start(wide):
    X, Y, *_ = wide
    model = small(warm_start=True).fit(X, Y)
    first = model.loss_curve_
    model.fit(X, Y)
    assert model.n_iter_ == 3 and model.loss_curve_[0] < first[0] - 0.2
    cold = small(warm_start=False).fit(X, Y)
    assert_same_model(cold, small().fit(X, Y).fit(X, Y))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_starts_are_judged_by_rows_that_no_fit_has_trained_on(
    wide, monkeypatch, early_stopping
):
    X, Y, X_test, Y_test = wide
    used = []

    def spy(*parts):
        used.append(ValidationRows(*parts))
        return used[-1]

    monkeypatch.setattr("sklsh.network.learner.ValidationRows", spy)
    model = small(warm_start=True, validation_fraction=0.2, early_stopping=early_stopping)
    scores, order = [], np.random.default_rng(0).permutation(X.shape[0])
    for rows in (slice(None), slice(None), order, order[: len(order) * 3 // 4]):
        model.fit(X[rows], Y[rows])
        judged = hits(used[-1].topk(1)[0], used[-1].Y, used[-1].rows).mean()
        scores.append((judged, precision_at_1(model, X_test, Y_test)))
    np.testing.assert_array_equal(used[0].rows, used[1].rows)
    np.testing.assert_array_equal(used[0].rows, np.sort(order[used[2].rows]))
    assert np.isin(order[used[3].rows], used[0].rows).all()
    # Of some 200 rows, a standard error of 3.5 points, and weights are fitted to them; trained on,
    # they would be all right.
    assert np.abs(np.diff(scores, axis=1)).max() < 0.15, scores


def test_early_stopping_of_a_warm_start_keeps_the_weights_that_were_better(wide):
    X, Y, *_ = wide
    model = small(warm_start=True, early_stopping=True, n_neighbors=0, max_iter=6).fit(X, Y)
    before = [coefficients.copy() for coefficients in model.coefs_]
    # Each step at this rate undoes what was learnt.
    model.set_params(learning_rate_init=5.0, max_iter=2).fit(X, Y)
    assert len(model.validation_scores_) == 2
    for coefficients, old in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(coefficients, old)


def test_a_stream_that_is_to_go_on_leaves_out_the_rows_that_fits_hold_out(wide):
    X, Y, *_ = wide
    options = {"n_neighbors": 0, "shuffle": True, "dropout": 0.0}
    model = small(warm_start=True, validation_fraction=0.2, **options).fit(X, Y)
    rows = SparseRows.from_matrix(X)
    spared, train, _ = held_out(rows, model.learner_.seed, X.shape[0] // 5)
    before = [coefficients.copy() for coefficients in model.coefs_]
    model.partial_fit(X[spared], Y[spared])
    for coefficients, old in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(coefficients, old)
    twin = copy.deepcopy(model).partial_fit(X[train[:100]], Y[train[:100]])
    some = np.sort(np.r_[train[:100], spared])
    model.partial_fit(X[some], Y[some])
    assert_same_model(model, twin)
    # Streams that no fit is to follow use every row.
    plain = small(validation_fraction=0.2, n_neighbors=0).fit(X, Y)
    old = plain.coefs_[0].copy()
    assert (plain.partial_fit(X[spared], Y[spared]).coefs_[0] != old).any()
    # One that begins as a stream spares them for the fit to come.
    stream = small(warm_start=True, validation_fraction=0.2).partial_fit(X, Y)
    bound = stream.learner_.spared_to
    assert bound / 2**64 == pytest.approx(0.2, abs=1e-3)
    stream.fit(X, Y)
    assert stream.learner_.spared_to <= bound


def test_a_stream_whose_first_rows_are_all_held_out_answers(wide):
    """It has learnt nothing yet, and names nothing."""
    X, Y, *_ = wide
    stream = small(warm_start=True, validation_fraction=0.2).partial_fit(X[:1], Y[:1])
    spared, train, _ = held_out(SparseRows.from_matrix(X), stream.learner_.seed, X.shape[0] // 10)
    stream = small(warm_start=True, validation_fraction=0.2).partial_fit(X[spared], Y[spared])
    assert stream.learner_.n_steps == 0
    first = stream.threshold_
    assert stream.predict(X[:5]).nnz == 0 and 0 < first < 1
    assert np.isfinite(stream.predict_proba(X[:5])).all()
    stream.partial_fit(X[train], Y[train])
    assert stream.learner_.n_steps > 0 and stream.threshold_ < first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_layer_sizes": (8,)}, "warm_start needs the hidden_layer_sizes"),
        (
            {"activation": "tanh"},
            "times n_estimators. and activation of the fit before",
        ),
        ({"n_features": 20}, "24 features and 4 classes, got 20 and 4"),
        ({"names": (1, 2, 3)}, "24 features and 4 classes, got 24 and 3"),
        ({"names": (1, 2, 3, 4)}, "24 features and 4 classes, got 24 and 4 others"),
    ],
)
def test_warm_start_needs_the_same_shape(change, message):
    X, y = multiclass()
    model = small(warm_start=True).fit(X, y)
    expected = model.predict(X)
    if "names" in change:
        y = multiclass(names=change["names"])[1]
    elif "n_features" in change:
        X = X[:, :20]
    else:
        model.set_params(**change)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict(multiclass()[0]), expected)


def test_warm_start_needs_the_same_features():
    X, y = multiclass()
    frame = pd.DataFrame(X, columns=[f"feature {i}" for i in range(X.shape[1])])
    model = small(warm_start=True).fit(frame, y)
    turned = frame.iloc[:, ::-1]
    with pytest.raises(ValueError, match="features of the fit before, in their order"):
        model.fit(turned, y)
    assert model.fit(frame, y).feature_names_in_.tolist() == frame.columns.tolist()
    assert model.set_params(warm_start=False).fit(turned, y).feature_names_in_[0] == "feature 23"


def test_early_stopping_stops_before_max_iter():
    X, y = multiclass()
    model = small(max_iter=100, early_stopping=True, n_iter_no_change=2).fit(X, y)
    assert model.n_iter_ == len(model.validation_scores_) < 50
    assert max(model.validation_scores_) > 0.9 and model.score(X, y) > 0.9


@pytest.mark.parametrize("when", ["epoch", "step"])
def test_interrupt_keeps_a_usable_model(wide, monkeypatch, when):
    """Ctrl-C between epochs or in the midst of one: a warning, and a model of so far."""
    X, Y, X_test, Y_test = wide
    step, count = Trainer.step, [0]

    def interrupted(self, *args):
        count[0] += 1
        loss = step(self, *args)
        if count[0] == (10 if when == "epoch" else 14):
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.warns(UserWarning, match="interrupted by the user after . whole epochs"):
        model = small(max_iter=50, batch_size=90).fit(X, Y)
    assert count[0] < 20 and model.n_iter_ <= 2
    assert precision_at_1(model, X_test, Y_test) > 0.2
    model.predict(X_test)
    model.partial_fit(X, Y)


def test_interrupt_in_the_first_step_of_all(monkeypatch):
    """No epoch is whole, but prototypes are something: the model answers."""
    X, y = multiclass()

    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.warns(UserWarning, match="after 0 whole epochs"):
        model = small().fit(X, y)
    assert model.n_iter_ == 0 and model.score(X, y) > 0.8


# Progress ---------------------------------------------------------------------------------


@pytest.mark.parametrize("with_rich", [True, False])
def test_verbose(capsys, monkeypatch, with_rich):
    X, y = multiclass()
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    else:
        pytest.importorskip("rich")
    small(verbose=True, early_stopping=True).fit(X, y)
    printed = capsys.readouterr().out
    for part in ("loss 0.", "validation P@1 0.", " s an epoch", "0 s left"):
        assert part in printed
    if not with_rich:
        lines = printed.splitlines()
        assert [line.split(":")[0] for line in lines] == [f"epoch {i}/3" for i in (1, 2, 3)]
    small().fit(X, y)
    assert capsys.readouterr().out == ""


# Sample weights ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_sample_weight_zero_is_a_row_removed(method):
    X, y = multiclass()
    weights = np.tile([0.0, 1.0, 2.0], 200)
    options = {} if method == "fit" else {"classes": np.unique(y)}
    kept = weights > 0
    one = getattr(small(), method)(X, y, sample_weight=weights, **options)
    two = getattr(small(), method)(X[kept], y[kept], sample_weight=weights[kept], **options)
    assert_same_model(one, two)


def test_sample_weight_of_ones_is_none():
    X, y = multiclass()
    for ones in (np.ones(600), [1] * 600, 1.0):
        assert_same_model(small().fit(X, y), small().fit(X, y, sample_weight=ones))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_sample_weight_pulls_to_the_heavy_rows(method):
    """The same rows with two answers: the heavier answer is given."""
    rng = np.random.default_rng(0)
    X = rng.random((400, 10)).astype(np.float32)
    X, y = np.concatenate([X, X]), np.repeat(["left", "right"], 400)
    for heavy in ("left", "right"):
        weights = np.where(y == heavy, 4.0, 1.0)
        options = {} if method == "fit" else {"classes": ["left", "right"]}
        model = small(n_neighbors=0)
        for _ in range(1 if method == "fit" else 5):
            getattr(model, method)(X, y, sample_weight=weights, **options)
        assert (model.predict(X) == heavy).mean() > 0.9


def test_sample_weight_2_is_like_a_row_twice():
    """Not bit by bit, but as good: both favour the classes that count twice as much."""
    rng = np.random.default_rng(0)
    X, y = multiclass(1000)
    X = (X + 0.5 * rng.random(X.shape)).astype(np.float32)
    blurred = np.where(rng.random(1000) < 0.25, rng.permutation(y), y)
    train, test = np.arange(600), np.arange(600, 1000)
    heavy = np.isin(blurred[train], (5, 40))
    weighted = small(max_iter=10).fit(X[train], blurred[train], np.where(heavy, 2.0, 1.0))
    twice = np.concatenate([train, train[heavy]])
    repeated = small(max_iter=10).fit(X[twice], blurred[twice])
    assert abs(weighted.score(X[test], y[test]) - repeated.score(X[test], y[test])) < 0.06
    assert (weighted.predict(X[test]) == repeated.predict(X[test])).mean() > 0.85


# Beside other tools -----------------------------------------------------------------------


def test_pipeline_and_grid_over_hash_length(wide):
    X, Y, X_test, _ = wide
    pipe = make_pipeline(MaxAbsScaler(), small(sampler="lsh", n_active=16, max_iter=2))
    grid = GridSearchCV(
        pipe,
        {"sparselshmlpclassifier__hash_length": [2, 5]},
        scoring=lambda model, X, Y: precision_at_1(model[-1], model[:-1].transform(X), Y),
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    scores = grid.cv_results_["mean_test_score"]
    assert (scores > 0.2).all() and scores[0] != scores[1]
    assert grid.predict(X_test).shape == (400, 300)


def test_parallel_grid_is_the_sequential_one():
    X, y = multiclass()
    results = []
    for n_jobs in (1, 2):
        grid = GridSearchCV(small(max_iter=1), {"dropout": [0.0, 0.5]}, cv=2, n_jobs=n_jobs)
        grid.fit(X, y)
        results.append(grid)
    np.testing.assert_array_equal(*[g.cv_results_["mean_test_score"] for g in results])
    assert_same_model(*[g.best_estimator_ for g in results])


def test_two_fits_at_once_in_threads(wide):
    """No abort, no mixing of states: each is the model that it is alone."""
    X, Y, X_test, _ = wide
    models = [small(sampler=name, n_jobs=2) for name in ("random", "lsh", "all", "random")]
    alone = [model.fit(X, Y).predict_topk(X_test) for model in models]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = Parallel(2, backend="threading")(delayed(m.fit)(X, Y) for m in models)
        answers = Parallel(2, backend="threading")(delayed(m.predict_topk)(X_test) for m in fitted)
    for ours, theirs in zip(alone, answers, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.skipif(not hasattr(BaseEstimator, "_get_fitted_attr_html"), reason="before 1.9")
def test_notebooks_show_the_sizes_of_what_was_fitted():
    html = estimator_html_repr(small().fit(*multiclass()))
    assert "Fitted attributes" in html
    assert re.search(r"classes_.*?ndarray\[int64\]\(4,\)", html, flags=re.DOTALL)


# Units ------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**-9, 2.0**17])
def test_the_unit_of_x_does_not_matter(factor):
    """A power of two changes no bit: neither of what is learnt nor of what is answered."""
    X, y = load_digits(return_X_y=True)
    usual = SparseLSHMLPClassifier(random_state=0).fit(X[:900], y[:900])
    scaled = SparseLSHMLPClassifier(random_state=0).fit(factor * X[:900], y[:900])
    np.testing.assert_array_equal(scaled.predict_proba(factor * X), usual.predict_proba(X))
    usual.partial_fit(X[900:], y[900:])
    scaled.partial_fit(factor * X[900:], y[900:])
    np.testing.assert_array_equal(scaled.predict_proba(factor * X), usual.predict_proba(X))
    for ours, theirs in zip(scaled.coefs_[1:], usual.coefs_[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_take_rows_as_they_come():
    X, y = load_digits(return_X_y=True)
    model = SparseLSHMLPClassifier(random_state=0, n_neighbors=0).fit(X, y)
    out = X
    for weights, bias in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        out = np.maximum(out @ weights + bias, 0)
    scores = out @ model.coefs_[-1] + model.intercepts_[-1]
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("factor", [1e-36, 1e30])
def test_learns_from_rows_of_any_length(factor):
    X, y = load_digits(return_X_y=True)
    model = SparseLSHMLPClassifier(random_state=0).fit(factor * X[:900], y[:900])
    assert model.score(factor * X[900:], y[900:]) > 0.85


def test_density_decides_how_long_a_fit_is():
    X, y = multiclass()
    X[:, 0] = 1
    few = SparseLSHMLPClassifier(random_state=0).fit(X * (X > 0.7), y)
    many = SparseLSHMLPClassifier(random_state=0).fit(X + 0.1, y)
    assert many.n_iter_ == 2 * few.n_iter_
