"""What a step of training consists of, as tables: its passes, and where each has its samples from."""

import numpy as np

from skneural.backends.frame import data
from skneural.backends.records import PASS, SOURCE, SPECTRUM


def one_pass(program):
    """A step of training that is one pass: all operations forward and back, all parameters updated."""
    return make_passes({"end": len(program.ops), "update_end": len(program.ops), "counts": 1.0})


def make_passes(*rows):
    """A table of passes, each with the fields that are not 0."""
    passes = np.zeros(len(rows), PASS)
    for part, fields in zip(passes, rows, strict=True):
        for name, value in fields.items():
            part[name] = value
    return passes


def check_passes(passes, program):
    """Raise unless passes name what there is of a program; in compiled code nobody would look."""
    n_ops = len(program.ops)
    if passes.dtype != PASS or passes.ndim != 1 or not len(passes):
        raise ValueError(f"Passes must be an array of {PASS.names}, got one of {passes.dtype} of shape {passes.shape}.")
    for part in passes:
        _check_pass(part, n_ops, program.n_params)
    if passes["gathers"][-1]:
        raise ValueError("The last pass gathers a gradient that nobody adds to.")
    return np.ascontiguousarray(passes)


def _check_pass(part, n_ops, n_params):
    """Raise unless one pass names what there is."""
    for begin, end in (("begin", "end"), ("back", "end"), ("update_begin", "update_end")):
        if not 0 <= part[begin] < part[end] <= n_ops:
            raise ValueError(f"Passes go from {begin!r} to {end!r}, within {n_ops} operations.")
    if part["back"] > part["update_begin"]:
        raise ValueError("Passes go back at least to the first operation whose parameters they update.")
    if not 0 <= part["reuses"] < part["end"]:
        raise ValueError("Passes reuse what operations before their end have made.")
    is_within = 0 <= part["averages"] <= n_params - part["n_averaged"]
    if not is_within or not 0 <= part["n_averaged"] <= part["averages"]:
        raise ValueError(f"Averages stand behind the parameters that they are of, among {n_params}.")


def source_of(frame, changes):
    """Where samples come from, as a record: what a frame says, but for the fields in `changes`.

    Parameters
    ----------
    frame : Frame
    changes : dict
        Numbers, or arrays, whose addresses are meant; by name.
    """
    record = np.zeros(1, np.dtype(list(SOURCE)))
    for name in record.dtype.names:
        value = changes.get(name, frame[name])
        record[name] = data(value) if isinstance(value, np.ndarray) else value
    return record


def limited_matrices(program):
    """The matrices whose spectral norms passes may limit, and their records, which do not say how they are laid out.

    They are the last ones, one for each vector that is kept.
    """
    vectors = program.named("singular_vectors_")
    matrices = program.matrices[len(program.matrices) - len(vectors) :]
    records = np.zeros(len(matrices), SPECTRUM)
    for record, block, vector in zip(records, matrices, vectors, strict=True):
        record["weight"] = block.start
        record["vector"] = vector.start
        record["n_rows"] = block.n_rows
        record["ld"] = block.ld
    return matrices, records
