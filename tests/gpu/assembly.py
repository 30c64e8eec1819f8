"""Machine code of GPU kernels, and what its assembler says of it; needs neither a GPU nor a driver."""

import re
from dataclasses import dataclass

#: Arithmetic in double precision, as PTX names it. Conversions and moves are something else.
DOUBLE = re.compile(r"^\s*(?:@\S+\s+)?(?:add|sub|mul|fma|div|rcp|sqrt|min|max)\S*\.f64\b", re.MULTILINE)


@dataclass
class Report:
    """What became of a kernel."""

    ptx: str
    registers: int
    stack: int
    spills: int
    shared: int

    @property
    def doubles(self):
        """Instructions of arithmetic in double precision."""
        return len(DOUBLE.findall(self.ptx))


def assemble(ptx, registers=None):
    """Assemble PTX, for the GPU that it names, with at most so many registers; a `Report`.

    Raises
    ------
    RuntimeError
        If the assembler refuses it.
    """
    from cuda.bindings import nvjitlink

    architecture = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)[1]
    options = [f"-arch={architecture}", "-Xptxas=-v"]  # what Numba's linker is told, and to report
    options += [] if registers is None else [f"-maxrregcount={registers}"]
    handle = nvjitlink.create(len(options), options)
    try:
        code = ptx.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), "kernel")
        nvjitlink.complete(handle)
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
        assert nvjitlink.get_linked_cubin_size(handle) > 1000
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(handle))
        nvjitlink.get_error_log(handle, log)
        raise RuntimeError(log.decode(errors="replace")) from error
    finally:
        nvjitlink.destroy(handle)
    text = log.decode(errors="replace")

    def number(pattern, default=0):
        found = re.search(pattern, text)
        return int(found[1]) if found else default

    spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
    return Report(
        ptx, number(r"Used (\d+) registers", None), number(r"(\d+) bytes stack"), spills, number(r"(\d+) bytes smem")
    )
