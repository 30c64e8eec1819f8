"""What kernels of layers of one's own are made of, on the CPU: see the page on layers. Importing this loads Numba.

Kernels are compiled for float32 and float64, kept in the ``__pycache__`` of the file that defines them, and compiled
anew when that changes.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, loss_weight, row_at, sent
from skneural.backends.cpu.updates import use_gradient
from skneural.backends.records import APPLY, COLLECT

__all__ = [
    "APPLY",
    "COLLECT",
    "DIGEST",
    "LAYER_KERNEL",
    "clear",
    "details_view",
    "frame_at",
    "layer_kernel",
    "length_of",
    "loss_weight",
    "op_at",
    "row_at",
    "sent",
    "use_gradient",
    "vector",
]
