"""Numba kernels: arrays in, arrays out. They trust their input and never raise."""
