"""Structure of a CSR matrix: what must hold before any other kernel may trust its indices."""

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


CANONICAL, UNSORTED, BAD_INDPTR, BAD_INDEX = 0, 1, 2, 3
"""Verdicts of `inspect_csr`. UNSORTED: sound, with unsorted or repeated indices in a row."""


@kernel
def inspect_csr(indptr, indices, n_columns):
    """Verdict and the row it was found in; never reads outside the arrays. O(nnz)."""
    n_rows = indptr.shape[0] - 1
    if indptr[0] != 0 or indptr[n_rows] > indices.shape[0]:
        return BAD_INDPTR, 0
    for row in range(n_rows):
        if indptr[row + 1] < indptr[row]:
            return BAD_INDPTR, row
    verdict, where = CANONICAL, 0
    for row in range(n_rows):
        previous = -1
        for position in range(indptr[row], indptr[row + 1]):
            column = indices[position]
            if column < 0 or column >= n_columns:
                return BAD_INDEX, row
            if column <= previous and verdict == CANONICAL:
                verdict, where = UNSORTED, row
            previous = column
    return verdict, where
