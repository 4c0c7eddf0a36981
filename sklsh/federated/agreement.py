"""Whether devices learn the same: of what they change, how alike the directions are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklsh.federated.aggregation import union_of
from sklsh.federated.limits import row_lengths
from sklsh.federated.messages import Update, bodies_of
from sklsh.kernels.agreement import add_rows, product_of_common, products_of_rows

SHORTEST = 1e-30
"""Changes that are not longer have no direction: float32 cannot hold what they are divided by."""

LEAST_REST = 1e-3
"""Length of the others' sum up to which it is what rounding leaves of unit vectors."""

PARTNERS = 15
"""Devices that each is compared with by itself, most: a quarter of these may lie."""

FEWEST_ROWS = 8
"""Neurons that two devices both raise below which the two are not compared."""

ALIKE = 0.5
"""Length of the median of unit vectors above which they have a direction in common."""


def common_direction(updates: Sequence[Update]) -> np.ndarray | None:
    """The direction of the mean hidden vector: neurons that are pushed down go the other way.

    The median over devices; None where they have none in common. (n_hidden,), length 1.
    """
    units = []
    for update in updates:
        head = update.head
        lowered = (head.bias < 0).astype(np.float32)
        total = -(lowered @ head.weights).astype(np.float64)
        length = np.sqrt(total @ total)
        units.append(total / length if length > SHORTEST else total * 0)
    middle = np.median(units, axis=0)
    length = float(np.sqrt(middle @ middle))
    return (middle / length).astype(np.float32) if length > ALIKE else None


def agreement(updates: Sequence[Update]) -> dict[str, np.ndarray]:
    """Of each update, the cosine of its change with the sum of the others' directions, by part.

    Over the rows that it has itself: who has few of them may agree as well as who has all.
    "head", "bias" and, where it travels, "body".
    """
    union, places = union_of([u.head.ids for u in updates])
    n = union.shape[0]
    found = {
        "head": _cosines(n, places, [u.head.weights for u in updates]),
        "bias": _cosines(n, places, [u.head.bias[:, None] for u in updates]),
    }
    if bodies := bodies_of(updates):
        union, places = union_of([b.features for b in bodies])
        found["body"] = _cosines(union.shape[0], places, [b.rows for b in bodies])
    return found


def _cosines(n: int, places, rows) -> np.ndarray:
    """Of each with the sum of the others' unit vectors ``u``, over its own rows: of ``total``, the
    sum of all, ``total @ u - 1`` over the length of ``total - u``."""
    total = np.zeros((n, rows[0].shape[1]), dtype=np.float32)
    lengths = [float(np.linalg.norm(part)) for part in rows]
    scales = [np.float32(1 / length if length > SHORTEST else 0) for length in lengths]
    for place, part, scale in zip(places, rows, scales, strict=True):
        add_rows(place, part, scale, total)
    out = np.zeros(len(rows))
    for i, (place, part, scale) in enumerate(zip(places, rows, scales, strict=True)):
        along, square = products_of_rows(place, part, total)
        along *= float(scale)
        length = np.sqrt(max(0.0, square - 2 * along + 1))
        if scale and length > LEAST_REST:
            out[i] = (along - 1) / length
    return out


def likeness(
    updates: Sequence[Update], direction: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """How alike devices say that a label's rows are: what training on wrong labels cannot fake.

    Of two devices, the mean cosine of the changes of those neurons that both raise, less what
    all hidden vectors have in common; of a device, the median over others, so that what some
    say to one another counts for nothing. On iid and Dirichlet .3 splits and on 8 and 32
    devices it is within a tenth of the median of all; labels exchanged for others leave a
    fifth of it.

    Parameters
    ----------
    updates : sequence of Update
    direction : ndarray (n_hidden,)
        See `common_direction`.
    seed : int
        Of the choice of `PARTNERS`.

    Returns
    -------
    alike : ndarray (n_updates,)
        NaN where a device shares too few neurons with most.
    errors : ndarray (n_updates,)
        Standard errors, from the number of neurons compared: cosines of vectors of no
        relation are about ``1 / sqrt(n_hidden)`` off 0.

    Notes
    -----
    O(PARTNERS * size of the changes).
    """
    raised = [_raised(update, direction) for update in updates]
    n = len(updates)
    order = np.random.default_rng(seed).permutation(n)
    found: list[dict[int, float]] = [{} for _ in range(n)]
    shared = [np.zeros(ids.shape[0], dtype=bool) for ids, _ in raised]
    for step in range(1, 1 + min(n // 2, -(-PARTNERS // 2))):
        for place in range(n):
            i, j = int(order[place]), int(order[(place + step) % n])
            if j in found[i]:
                continue
            n_common, product = product_of_common(*raised[i], *raised[j], shared[i], shared[j])
            cosine = product / n_common if n_common >= FEWEST_ROWS else float("nan")
            found[i][j] = found[j][i] = cosine
    counts = np.array([max(1, int(part.sum())) for part in shared])
    alike = np.array([_median(list(of.values())) for of in found])
    return alike, 1 / np.sqrt(counts * direction.shape[0])


def _raised(update: Update, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neurons raised along `direction`, and the unit directions of what else has changed."""
    weights = update.head.weights
    along = weights @ direction
    kept = along > 0
    rest = weights[kept] - along[kept, None] * direction
    rest /= np.maximum(row_lengths(rest), SHORTEST)[:, None].astype(np.float32)
    return update.head.ids[kept], rest


def _median(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.median(known)) if 2 * len(known) > len(values) else float("nan")
