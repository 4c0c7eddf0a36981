"""Several systems in one table: values are the metrics', intervals those of resampled rows."""

import numpy as np
import pytest

from sklsh.metrics import (
    compare_at_k,
    hit_rate_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

METRICS = {
    "precision": precision_at_k, "recall": recall_at_k, "ndcg": ndcg_at_k,
    "hit_rate": hit_rate_at_k, "mrr": mrr_at_k,
}  # fmt: skip


def problem(n_rows=400, n_labels=30, seed=0):
    """Truth, a ranking by noisy scores and one by noise."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_rows, n_labels)) < 0.1).astype(int)
    good = np.argsort(-(y_true + rng.standard_normal(y_true.shape)), axis=1)[:, :10]
    bad = np.array([rng.permutation(n_labels)[:10] for _ in range(n_rows)])
    return y_true, good, bad


def test_values_are_the_metrics_in_the_order_asked_for():
    y_true, good, bad = problem()
    table = compare_at_k(y_true, {"bad": bad, "good": good}, k=5, metrics=list(METRICS))
    assert [(row["system"], row["metric"]) for row in table] == [
        (system, metric) for system in ("bad", "good") for metric in METRICS
    ]
    for row in table:
        ranked = {"bad": bad, "good": good}[row["system"]]
        assert row["value"] == pytest.approx(METRICS[row["metric"]](y_true, ranked, 5))
        assert row["low"] < row["value"] < row["high"]
        first = METRICS[row["metric"]](y_true, bad, 5)
        assert row["difference"] == pytest.approx(row["value"] - first)
    assert all(row["difference_low"] == row["difference_high"] == 0 for row in table[:5])
    assert all(row["difference_low"] > 0 for row in table[5:])


def test_intervals_are_as_wide_as_the_normal_approximation():
    y_true, good, _ = problem(n_rows=2_000)
    row = compare_at_k(y_true, {"good": good}, k=1, metrics=["hit_rate"], confidence=0.9)[0]
    width = 2 * 1.645 * np.sqrt(row["value"] * (1 - row["value"]) / 2_000)
    assert row["high"] - row["low"] == pytest.approx(width, rel=0.15)


def test_differences_are_of_the_same_rows():
    y_true, good, _ = problem()
    other = good.copy()
    other[0] = other[0, ::-1]  # one row differs: the difference hardly varies
    rows = compare_at_k(y_true, {"a": good, "b": other}, k=5, metrics="ndcg")
    apart = rows[1]["difference_high"] - rows[1]["difference_low"]
    assert apart < 0.2 * (rows[1]["high"] - rows[1]["low"])


def test_the_seed_decides_and_blocks_do_not(monkeypatch):
    y_true, good, bad = problem(50)
    tables = [compare_at_k(y_true, {"a": good, "b": bad}, random_state=s) for s in (0, 0, 1)]
    assert tables[0] == tables[1] != tables[2]
    monkeypatch.setattr("sklsh.metrics._comparison.RESAMPLES", 7)
    assert compare_at_k(y_true, {"a": good, "b": bad}) == tables[0]


def test_refusals():
    y_true, good, _ = problem(20)
    with pytest.raises(TypeError, match="rankings must map names to rankings, got ndarray"):
        compare_at_k(y_true, good)
    with pytest.raises(ValueError, match="at least one system"):
        compare_at_k(y_true, {})
    with pytest.raises(ValueError, match=r"metrics must be some of .*, got \['map'\]"):
        compare_at_k(y_true, {"a": good}, metrics=["map"])
    with pytest.raises(ValueError, match="confidence must be in"):
        compare_at_k(y_true, {"a": good}, confidence=1.0)
    with pytest.raises(ValueError, match="as many rows, got 20 and 19"):
        compare_at_k(y_true, {"a": good, "b": good[:19]})
    with pytest.raises(ValueError, match="at least one row"):
        compare_at_k(y_true[:0], {"a": good[:0]})
