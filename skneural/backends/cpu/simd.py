"""Which vector instructions this machine has, and what tile of a matrix product they call for.

The widths of arrays do not depend on it: every row is padded to 64 bytes (`network.program`), which all vector widths
divide. So a model trained with one instruction set predicts with another.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class InstructionSet:
    """Size of the vectors and of the tile of C that stays in registers.

    rows x (wide * vector_bytes) accumulators, plus `wide` vectors of B and one of A, must fit the register file.
    """

    name: str
    vector_bytes: int
    rows: tuple  # tile heights, tallest first; the last ones handle remainders
    wide: int  # vectors of B in a wide tile
    narrow: int  # vectors of B in a tile for the last columns: half as many
    fused: bool  # whether a fused multiply-add is one instruction
    masks: bool = False  # whether storing some lanes takes no longer than storing all: AMD has 17 cycles on AVX2


AVX512 = InstructionSet("avx512", 64, (14, 8, 4, 2, 1), 2, 1, True, True)
AVX2 = InstructionSet("avx2", 32, (6, 4, 3, 2, 1), 2, 1, True)
NEON = InstructionSet("neon", 16, (6, 4, 3, 2, 1), 4, 2, True)
GENERIC = InstructionSet("generic", 16, (2, 2, 1, 1, 1), 4, 2, False)
INSTRUCTION_SETS = {i.name: i for i in (AVX512, AVX2, NEON, GENERIC)}


def host_features():
    """Set of the vector features of the machine (or of the one Numba was told to compile for)."""
    import llvmlite.binding as llvm
    from numba import config

    if config.CPU_NAME == "generic":
        return set()
    if config.CPU_FEATURES:
        return {f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+")}
    return {name for name, there in llvm.get_host_cpu_features().items() if there}


def choose():
    """The instruction set to use: SKNEURAL_SIMD if it is set, else the widest that the machine has."""
    wanted = os.environ.get("SKNEURAL_SIMD")
    if wanted:
        if wanted not in INSTRUCTION_SETS:
            raise ValueError(f"SKNEURAL_SIMD must be one of {sorted(INSTRUCTION_SETS)}, got {wanted!r}.")
        return INSTRUCTION_SETS[wanted]
    features = host_features()
    if {"avx512f", "avx512vl"} <= features:
        return AVX512
    if {"avx2", "fma"} <= features:
        return AVX2
    return NEON if "neon" in features else GENERIC


INSTRUCTION_SET = choose()
