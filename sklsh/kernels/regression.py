"""Each item regressed on its nearest items, and what the coefficients say of a user's row."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0


@kernel
def link_gram(columns, n_columns, users_indptr, users, shares, head, gram):
    """Lower triangle of the Gram matrix of the 0/1 columns ``columns[:n_columns]``.

    ``gram[a, b]``, ``b <= a``, is the sum of the `shares` of users of both. Column c lists
    its users at ``users[users_indptr[c]:users_indptr[c + 1]]``. `head` (n_users,) int32 must be
    -1 and is so again on return: each user's entries form a list, so that this costs the number
    of pairs that meet in a user and nothing for the others.
    """
    n_entries = 0
    for a in range(n_columns):
        n_entries += users_indptr[columns[a] + 1] - users_indptr[columns[a]]
        for b in range(a + 1):
            gram[a, b] = np.float32(0.0)
    before = np.empty(n_entries, dtype=np.int32)
    column_of = np.empty(n_entries, dtype=np.int32)
    entry = 0
    for a in range(n_columns):
        for p in range(users_indptr[columns[a]], users_indptr[columns[a] + 1]):
            user = users[p]
            other, share = head[user], shares[user]
            before[entry], column_of[entry] = other, a
            head[user] = entry
            gram[a, a] += share
            while other >= 0:
                gram[a, column_of[other]] += share
                other = before[other]
            entry += 1
    for a in range(n_columns):
        for p in range(users_indptr[columns[a]], users_indptr[columns[a] + 1]):
            head[users[p]] = -1


@kernel(fastmath=FAST)
def _dot(x, y, n):
    total = np.float32(0.0)
    for c in range(n):
        total += x[c] * y[c]
    return total


@kernel(fastmath=FAST)
def _four_dots(w, x, y, z, other, n):
    a, b = np.float32(0.0), np.float32(0.0)
    c, d = np.float32(0.0), np.float32(0.0)
    for i in range(n):
        value = other[i]
        a += w[i] * value
        b += x[i] * value
        c += y[i] * value
        d += z[i] * value
    return a, b, c, d


@kernel
def solve_ridge(gram, right, n, penalty, factor, solution):
    """``(gram + penalty * I)[:n, :n] @ solution = right[:n]``, by Cholesky's factors.

    Only the lower triangle of `gram` is read. A pivot is never less than the penalty, except
    for rounding, which is taken out. Four rows at a time read each row above them once, which takes
    two thirds of the time.
    """
    for first in range(0, n, 4):
        four = first + 4 <= n
        if four:
            w, x, y, z = factor[first], factor[first + 1], factor[first + 2], factor[first + 3]
            for b in range(first):
                of_w, of_x, of_y, of_z = _four_dots(w, x, y, z, factor[b], b)
                w[b] = (gram[first, b] - of_w) / factor[b, b]
                x[b] = (gram[first + 1, b] - of_x) / factor[b, b]
                y[b] = (gram[first + 2, b] - of_y) / factor[b, b]
                z[b] = (gram[first + 3, b] - of_z) / factor[b, b]
        for a in range(first, min(first + 4, n)):
            for b in range(first if four else 0, a):
                rest = gram[a, b] - _dot(factor[a], factor[b], b)
                factor[a, b] = rest / factor[b, b]
            pivot = gram[a, a] + penalty - _dot(factor[a], factor[a], a)
            factor[a, a] = np.sqrt(max(pivot, penalty))
    for a in range(n):
        solution[a] = (right[a] - _dot(factor[a], solution, a)) / factor[a, a]
    for a in range(n - 1, -1, -1):
        solution[a] /= factor[a, a]
        for c in range(a):
            solution[c] -= factor[a, c] * solution[a]


@kernel
def regress_items(items, ids, users_indptr, users, shares, penalties, head, out, start, stop):
    """Ridge coefficients of the items ``items[start:stop]`` on their neighbours.

    A user's residuals count ``shares[user]``. ``ids`` (n_items, k) int32 are neighbours, padded
    with -1; ``out[p, item]`` (k,) float32 gets their coefficients with ``penalties[p]``, 0 where
    padded.
    """
    k = ids.shape[1]
    gram = np.empty((k + 1, k + 1), dtype=np.float32)
    factor = np.empty((k, k), dtype=np.float32)
    columns = np.empty(k + 1, dtype=np.int32)
    for t in range(start, stop):
        item = items[t]
        n = 0
        while n < k and ids[item, n] >= 0:
            columns[n] = ids[item, n]
            n += 1
        columns[n] = item
        link_gram(columns, n + 1, users_indptr, users, shares, head, gram)
        for p in range(penalties.shape[0]):
            solution = out[p, item]
            solve_ridge(gram, gram[n], n, penalties[p], factor, solution)
            for a in range(n, k):
                solution[a] = np.float32(0.0)


@kernel
def add_linear_rows(
    rows, indptr, indices, to_indptr, to_items, values, weight, position_of, out, start, stop
):
    """Add ``weight * sum over items i of row of B[i]`` to ``out[i - start]``, ``rows[start:stop]``.

    Row i of B has ``values[p]`` at item ``to_items[p]``, for p in ``to_indptr[i]:to_indptr[i +
    1]``; `position_of` gives each item's column of `out`, -1: none.
    """
    for i in range(start, stop):
        target = out[i - start]
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            item = indices[position]
            for p in range(to_indptr[item], to_indptr[item + 1]):
                column = position_of[to_items[p]]
                if column >= 0:
                    target[column] += weight * values[p]
