"""Active sets as stamped arrays: no sets, no dicts, no sort."""

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


@kernel
def stamp_labels_csr(indptr, indices, rows, slots, active):
    """Give each label of the batch a slot; number of different labels.

    `slots` (n_labels,) is -1 for neurons that are not active and the position in `active`
    for those that are.
    """
    n_active = 0
    for i in range(rows.shape[0]):
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            label = indices[position]
            if slots[label] < 0:
                slots[label] = n_active
                active[n_active] = label
                n_active += 1
    return n_active


@kernel
def stamp_ids(ids, offset, slots, active, offsets, n_active):
    """Add the neurons of `ids` that are not active yet, each with the logit offset; new count."""
    for i in range(ids.shape[0]):
        if slots[ids[i]] < 0:
            slots[ids[i]] = n_active
            active[n_active] = ids[i]
            offsets[n_active] = offset
            n_active += 1
    return n_active
