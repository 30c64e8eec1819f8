"""Engines that run programs: the CPU's and that of NVIDIA's GPUs. Beside them modules without kernels."""
