"""The k largest of many, for a k of hundreds: a heap, sorted in the end."""

from sklsh.kernels.flags import kernel
from sklsh.kernels.topk import beats

# Compiled in: flags f62ac5f0, topk 00effc30


@kernel
def push_heap(score, label, scores, labels, n):
    """Put an entry in the place of the worst of the heap ``scores[:n], labels[:n]``, its first.

    Each entry is worse than those below it, as `beats` has it. O(log n), where a sorted list moves
    half of its entries: for hundreds of them.
    """
    i = 0
    while 2 * i + 1 < n:
        below = 2 * i + 1
        other = below + 1
        if other < n and beats(scores[below], labels[below], scores[other], labels[other]):
            below = other
        if beats(scores[below], labels[below], score, label):
            break
        scores[i], labels[i] = scores[below], labels[below]
        i = below
    scores[i], labels[i] = score, label


@kernel
def sort_heap(scores, labels):
    """Turn a heap into a list sorted best first."""
    for n in range(scores.shape[0] - 1, 0, -1):
        score, label = scores[n], labels[n]
        scores[n], labels[n] = scores[0], labels[0]
        push_heap(score, label, scores, labels, n)
