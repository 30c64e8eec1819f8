"""The CPU backend: Numba kernels, called through their addresses, on a crew of plain threads."""
