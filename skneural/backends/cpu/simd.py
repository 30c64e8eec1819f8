"""Which vector instructions this machine has, and what tile of a matrix product they call for.

The widths of arrays do not depend on it: every row is padded to 64 bytes (`network.program`), which all vector widths
divide. So a model trained with one instruction set predicts with another.
"""

import os
import platform
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
#: What LLVM calls features that Linux calls otherwise.
_NAMES = {"abm": "lzcnt", "asimd": "neon", "bmi1": "bmi", "sse4_1": "sse4.1", "sse4_2": "sse4.2"}
INSTRUCTION_SETS = {i.name: i for i in (AVX512, AVX2, NEON, GENERIC)}


def host_features():
    """Set of the features of the machine, as LLVM names them; or of the one that Numba's variables say it compiles for.

    Not of what its file or its module of settings says: this is known before Numba is there.
    """
    told = os.environ.get("NUMBA_CPU_FEATURES")
    if os.environ.get("NUMBA_CPU_NAME") == "generic":
        return set()
    if told:
        return {feature[1:] for feature in told.split(",") if feature.startswith("+")}
    listed = _features_that_linux_lists()
    if listed:
        return {_NAMES.get(name, name) for name in listed}
    import llvmlite.binding as llvm

    return {name for name, there in llvm.get_host_cpu_features().items() if there}


def _features_that_linux_lists():
    """Names of features, which are sooner read than LLVM is loaded; none on other systems, or if there is no list."""
    heading = "flags" if platform.machine() in ("x86_64", "AMD64") else "Features"
    try:
        with open("/proc/cpuinfo", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == heading:
                    return set(value.split())
    except OSError:
        pass
    return set()


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
