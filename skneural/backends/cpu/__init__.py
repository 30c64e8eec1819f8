"""The CPU backend: Numba kernels, called through their addresses, on a pool of plain threads."""
