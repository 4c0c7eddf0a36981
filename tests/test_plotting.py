"""Displays: what they draw is what was fitted or measured, and comes from theory where it says."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier

from sklsh import CompressedLSHHasher, FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.hashing import HashTables
from sklsh.plotting import (
    CollisionDisplay,
    LearningCurveDisplay,
    ReliabilityDisplay,
    RoundLedgerDisplay,
    TableOccupancyDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def classifier(digits):
    return SparseLSHMLPClassifier((16,), early_stopping=True, max_iter=3, random_state=0).fit(
        *digits
    )


@pytest.fixture(scope="module")
def federation(digits):
    estimator = SparseLSHMLPClassifier((16,), random_state=0)
    model = FederatedLSHClassifier(estimator, n_rounds=3, random_state=0)
    return model.fit(*digits, groups=np.arange(1797) % 3)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sklsh\[plot\]"):
        LearningCurveDisplay([2.0, 1.0]).plot()


def test_learning_curves(classifier):
    display = LearningCurveDisplay.from_estimator(classifier)
    assert [axes.figure for axes in display.ax_] == 2 * [display.figure_]
    loss, scores = display.lines_
    np.testing.assert_array_equal(loss.get_ydata(), classifier.loss_curve_)
    np.testing.assert_array_equal(scores.get_ydata(), classifier.validation_scores_)
    assert loss.get_xdata().tolist() == [1, 2, 3]


def test_one_panel_where_there_is_no_validation_or_one_axes(classifier):
    display = LearningCurveDisplay([3.0, 2.0], estimator_name="a").plot()
    other = LearningCurveDisplay.from_estimator(classifier, name="b", ax=display.ax_)
    assert other.ax_ is display.ax_
    assert len(other.lines_) == 1
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "b"]


def test_learning_curve_of_scikit_learns_network(digits):
    model = MLPClassifier((8,), max_iter=200, early_stopping=True, random_state=0).fit(*digits)
    lines = LearningCurveDisplay.from_estimator(model).lines_
    np.testing.assert_array_equal(lines[0].get_ydata(), model.loss_curve_)


@pytest.mark.parametrize("as_tables", [False, True])
def test_occupancy(digits, as_tables):
    hasher = CompressedLSHHasher(n_tables=3, hash_length=5, random_state=0).fit(digits[0])
    display = TableOccupancyDisplay.from_estimator(hasher.tables_ if as_tables else hasher)
    codes = hasher.codes(digits[0])
    expected = np.zeros(11)
    own_bucket = []
    for t in range(3):
        for size in np.unique(codes[:, t], return_counts=True)[1]:
            expected[int(size).bit_length() - 1] += size / (3 * 1797)
            own_bucket += [size] * size
    np.testing.assert_allclose(display.share_of_rows, expected)
    np.testing.assert_allclose(display.stairs_.get_data().values, expected)
    assert display.candidates == pytest.approx(np.mean(own_bucket))
    assert f"{np.mean(own_bucket):.0f} rows" in display.ax_.get_legend().get_texts()[0].get_text()


def test_even_spread_is_what_random_codes_give():
    codes = np.random.default_rng(0).integers(0, 64, (5000, 8))
    display = TableOccupancyDisplay.from_estimator(HashTables.build(codes, 6))
    np.testing.assert_allclose(display.share_of_rows, display.even_share, atol=0.05)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.even_share)
    assert display.even_share.sum() == pytest.approx(1)


@pytest.mark.parametrize("any_table", [False, True])
def test_measured_collisions_lie_on_the_theory(any_table):
    hasher = CompressedLSHHasher(
        "simhash", n_tables=8, hash_length=3, sketch_dim=8, random_state=0
    ).fit(np.eye(64))
    display = CollisionDisplay.from_estimator(hasher, any_table=any_table, n_angles=5, n_pairs=400)
    p = (1 - display.angles / np.pi) ** 3
    expected = 1 - (1 - p) ** 8 if any_table else p
    assert (np.abs(display.measured - expected) < 0.08).all()
    np.testing.assert_allclose(
        display.theory, 1 - (1 - (1 - np.linspace(0, 1, 91)) ** 3) ** (8 if any_table else 1)
    )
    points, curve = display.lines_
    np.testing.assert_allclose(points.get_ydata(), display.measured)
    np.testing.assert_allclose(curve.get_ydata(), display.theory)


def test_families_without_a_formula_show_points_alone():
    hasher = CompressedLSHHasher("dwta", hash_length=2, random_state=0).fit(np.eye(32))
    display = CollisionDisplay.from_estimator(hasher, any_table=True, n_angles=3, n_pairs=20)
    assert display.theory is None
    assert len(display.lines_) == 1


def test_ledger(federation):
    display = RoundLedgerDisplay.from_estimator(federation, name="a")
    ledger = federation.ledger_
    (line,) = display.lines_
    assert line.get_xdata()[-1] * 1e6 == pytest.approx(ledger.total())
    first = ledger.total(round=-1) + ledger.total(round=0)
    assert line.get_xdata()[0] * 1e6 == pytest.approx(first)
    np.testing.assert_allclose(line.get_ydata(), [e["loss"] for e in federation.history_])
    bars = display.ax_[1].patches
    assert sum(bar.get_width() for bar in bars) * 1e6 == pytest.approx(ledger.total())
    texts = [text.get_text() for text in display.ax_[1].get_legend().get_texts()]
    body = bars[texts.index("body")].get_width() * 1e6
    assert body == pytest.approx(ledger.total(kind="body"))


def test_ledgers_over_each_other(federation):
    first = RoundLedgerDisplay.from_estimator(federation, name="a")
    scores = [0.1, 0.2, 0.4]
    second = RoundLedgerDisplay.from_estimator(
        federation, scores=scores, score_name="P@1", name="b", ax=first.ax_
    )
    assert second.figure_ is first.figure_
    np.testing.assert_array_equal(second.lines_[0].get_ydata(), scores)
    assert second.ax_[0].get_ylabel() == "P@1"
    third = RoundLedgerDisplay(10 * first.sent, first.quality, first.kinds, name="c")
    third.plot(first.ax_)
    low, high = first.ax_[0].get_xlim()
    assert low == 0
    assert high > third.sent[-1] / 1e6
    assert [text.get_text() for text in second.ax_[1].get_yticklabels()] == ["a", "b", "c"]
    legend = [text.get_text() for text in second.ax_[1].get_legend().get_texts()]
    assert len(legend) == len(set(legend))
    with pytest.raises(ValueError, match="scores must have one number for each of 3 rounds"):
        RoundLedgerDisplay.from_estimator(federation, scores=[1.0])


@pytest.mark.parametrize(
    ("display", "unfitted"),
    [
        (LearningCurveDisplay, SparseLSHMLPClassifier()),
        (TableOccupancyDisplay, CompressedLSHHasher()),
        (CollisionDisplay, CompressedLSHHasher()),
        (RoundLedgerDisplay, FederatedLSHClassifier()),
    ],
)
def test_unfitted_and_foreign_estimators(display, unfitted, digits):
    with pytest.raises(NotFittedError):
        display.from_estimator(unfitted)
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(TypeError, match="estimator must"):
        display.from_estimator(StandardScaler().fit(digits[0]))


def test_reliability_needs_ranked_probabilities(digits):
    with pytest.raises(NotFittedError):
        ReliabilityDisplay.from_estimator(SparseLSHMLPClassifier(), *digits)
    with pytest.raises(TypeError, match="must have predict_topk_proba, got MLPClassifier"):
        ReliabilityDisplay.from_estimator(MLPClassifier(), *digits)


def test_wrong_axes():
    with pytest.raises(TypeError, match="ax must be matplotlib axes"):
        LearningCurveDisplay([1.0]).plot(ax="here")
