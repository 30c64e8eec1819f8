"""What a step of training consists of, as tables: its passes, and where each has its samples from."""

import numpy as np

from skneural.backends.frame import data
from skneural.backends.records import PASS, SOURCE


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
    for begin, end in (("begin", "end"), ("back", "end"), ("update_begin", "update_end")):
        if (passes[begin] < 0).any() or (passes[begin] >= passes[end]).any() or (passes[end] > n_ops).any():
            raise ValueError(f"Passes go from {begin!r} to {end!r}, within {n_ops} operations.")
    if (passes["back"] > passes["update_begin"]).any():
        raise ValueError("Passes go back at least to the first operation whose parameters they update.")
    if ((passes["reuses"] < 0) | (passes["reuses"] >= passes["end"])).any():
        raise ValueError("Passes reuse what operations before their end have made.")
    last = passes["averages"] + passes["n_averaged"]
    if (passes["averages"] < 0).any() or (passes["n_averaged"] < 0).any() or (last > program.n_params).any():
        raise ValueError(f"Averages of parameters stand among the {program.n_params} that there are.")
    if passes["gathers"][-1]:
        raise ValueError("The last pass gathers a gradient that nobody adds to.")
    return np.ascontiguousarray(passes)


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
