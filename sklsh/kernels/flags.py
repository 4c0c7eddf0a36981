"""The one set of fast-math flags: sums may be reordered, NaN and inf stay what they are.

The flags nnan and ninf, which ``True`` for all would bring along, make every -inf that marks
"none yet" undefined behaviour, and let the compiler drop what tells that training has diverged.
"""

from functools import partial

import numba as nb

kernel = partial(nb.njit, nogil=True, cache=True, no_cfunc_wrapper=True)
"""The decorator of every kernel. Nobody calls one from C: a wrapper for that takes a tenth of the
compiler's time."""

FAST = {"contract", "reassoc", "nsz"}

FUSED = {"contract"}
"""Products and sums may be fused, and keep their order: ties must come out alike everywhere."""
