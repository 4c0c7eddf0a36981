"""Secure aggregation: the server learns the sum of the devices' changes, and no device's own.

Pairwise masks that cancel in the sum, and shares of what they are made of, by which the others
take off the masks of who drops out [1]_. It holds against a server that keeps to the protocol and
looks at all it receives, also together with fewer than half of a round's devices. A server that
lies (about who is there, about keys) is not held off: devices know one another by its word alone.

References
----------
.. [1] K. Bonawitz et al. "Practical secure aggregation for privacy-preserving machine learning",
   CCS 2017, without the rounds against active adversaries.
"""
