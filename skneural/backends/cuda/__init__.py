"""The CUDA backend: the same programs on an NVIDIA GPU. Reading order: hub, intrinsics, product, kernels, engine."""
