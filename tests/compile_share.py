"""Compile a share of all kernels, as ``2/4`` says: of four processes, the third (they count from 0)."""

import sys

from skneural.backends.cpu.catalogue import address, every_kernel

number, n_processes = map(int, sys.argv[1].split("/"))
mine = list(every_kernel(["float32", "float64"]))[number::n_processes]
for key in mine:
    address(*key)
print(len(mine))
