"""Kernels of the layers, in files with the names of those in `skneural.layers`."""
