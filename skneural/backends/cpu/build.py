"""Make the libraries of kernels that wheels bring along (see `library`).

    python -m skneural.backends.cpu.build FOLDER [avx2 avx512 generic ...]

Numba compiles every kernel of every registry in processes that are told to compile for another processor than this one;
LLVM writes each as an object file whose code may stand anywhere in memory, and the C compiler's linker makes one shared
object of them. Only on x86-64 under Linux: Numba has no other target than the system that it runs on.
"""

import ctypes
import functools
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import zlib

import joblib

_AVX2 = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sse4.2")
_AVX512 = (*_AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
#: What each library is compiled for: the processor whose timings LLVM goes by, and what is asked of any.
PROCESSORS = {"generic": ("x86-64", ()), "avx2": ("znver3", _AVX2), "avx512": ("x86-64-v4", _AVX512)}
#: What these processors have besides, which is not asked for and so must not be used.
FORBIDDEN = {
    "znver3": (
        "adx", "aes", "clflushopt", "clwb", "clzero", "fsgsbase", "fsrm", "invpcid", "mwaitx", "pclmul", "pku",
        "prfchw", "rdpid", "rdpru", "rdrnd", "rdseed", "sha", "shstk", "sse4a", "vaes", "vpclmulqdq", "wbnoinvd",
        "xsavec", "xsaveopt", "xsaves",
    ),
}  # fmt: skip

#: The oldest C library (glibc) on which libraries are to work.
OLDEST = (2, 17)
#: Functions of it that kernels call.
C_LIBRARY = {"clock_gettime", "memcpy", "memmove", "memset", "sched_yield", "sqrt", "sqrtf", "usleep"}


#: What Numba's wrappers refer to, for errors that kernels never raise.
STRANGERS = re.compile("Py|_Py|numba_|NRT_")
#: What the processes that compile run.
_WORK = "from skneural.backends.cpu.build import compile_share; compile_share()"


def is_possible():
    """Whether libraries can be made here."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def environment(name):
    """Variables of processes that compile for an instruction set."""
    processor, features = PROCESSORS[name]
    told = [f"+{feature}" for feature in features] or ["-avx"]
    told += [f"-{feature}" for feature in FORBIDDEN.get(processor, ())]
    wanted = {"SKNEURAL_SIMD": name, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ",".join(told)}
    return {**os.environ, **wanted, "SKNEURAL_LIBRARY": ""}


def build(name, folder, n_processes=None, only=()):
    """Make the library for an instruction set.

    Parameters
    ----------
    name : str
        Of the instruction set.
    folder : path
    n_processes : int, default=None
        That compile; by default as many as there are cores.
    only : sequence of str
        Names of kernels, if not all are wanted.

    Raises
    ------
    RuntimeError
        If there is no compiler of C here, or this machine is another than libraries are made on.
    """
    if not is_possible():
        raise RuntimeError("Libraries of kernels can be made on x86-64 under Linux only.")
    n_processes = n_processes or joblib.cpu_count()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    code = folder / f"{name}.so"
    with tempfile.TemporaryDirectory() as objects:
        _compile(name, objects, n_processes, only)
        index = {}
        for path in pathlib.Path(objects).glob("*.json"):
            index |= json.loads(path.read_text())
        _link(sorted(map(str, pathlib.Path(objects).glob("*.o"))), code)
    _check(code)
    index["features"] = sorted(PROCESSORS[name][1])
    index["crc32"] = zlib.crc32(code.read_bytes())
    (folder / f"{name}.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def _compile(name, folder, n_processes, only):
    """Fill a folder with object files, in several processes."""
    shares = []
    try:
        for rank in range(n_processes):
            command = [sys.executable, "-c", _WORK, folder, str(rank), str(n_processes), ",".join(only)]
            shares.append(subprocess.Popen(command, env=environment(name)))
        statuses = [share.wait() for share in shares]
    finally:
        for share in shares:
            share.kill()
    if any(statuses):
        raise RuntimeError(f"The kernels for {name} could not be compiled.")


def _link(objects, code):
    """Make a shared object; that a symbol is missing is an error here and not where it is loaded."""
    command = [os.environ.get("CC", "cc"), "-shared", "-nostartfiles", "-Wl,-s,-z,now,-z,defs", "-o", str(code)]
    try:
        subprocess.run([*command, *objects, "-lm", "-lc"], check=True)
    except FileNotFoundError:
        raise RuntimeError("Making a library of kernels takes a compiler of C (cc), for its linker.") from None


def _check(code):
    """Raise unless a library can be loaded, and asks for no newer C library than it should."""
    ctypes.CDLL(str(code.resolve()))
    versions = [tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", code.read_bytes())]
    if max(versions) > OLDEST:
        raise RuntimeError(f"{code} asks for glibc {max(versions)}, and should work with {OLDEST}.")


# -- in the processes that compile -------------------------------------------------------------------------------------


def compile_share():
    """Compile every so-manieth kernel; object files and what the index needs go into a folder."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba

    from skneural.backends.cpu.catalogue import every_kernel, maker_of
    from skneural.backends.cpu.library import DIGEST
    from skneural.backends.cpu.registry import KERNELS
    from skneural.backends.sources import kernel_name

    folder = pathlib.Path(sys.argv[1])
    rank, n_processes = map(int, sys.argv[2:4])
    only = set(filter(None, sys.argv[4].split(",")))
    keys = {}  # some kinds share kernels
    for name, *key in every_kernel(["float32", "float64"]):
        make = maker_of(name)
        keys[kernel_name(make, *key)] = (make, *key)
    strangers = {}
    for name in sorted(keys)[rank::n_processes]:
        if not only or name in only:
            (folder / f"{name}.o").write_bytes(_object_of(name, keys[name], strangers))
    (folder / f"strangers{rank}.o").write_bytes(_emit(_stubs(strangers)))
    layers = {}
    for kind, fields in KERNELS.items():
        layers[kind] = {}
        for field, (make, options, registry) in fields.items():
            label = None if registry is None else registry.label
            layers[kind][field] = [make.__name__.removeprefix("make_"), options, label]
    version = ".".join(map(str, llvm.llvm_version_info))
    index = {"digest": DIGEST, "numba": numba.__version__, "llvmlite": llvmlite.__version__, "llvm": version}
    (folder / f"index{rank}.json").write_text(json.dumps({**index, "layers": layers}))


def _object_of(name, key, strangers):
    """A kernel as an object file. What it refers to outside is noted, but for functions of the C library."""
    import llvmlite.binding as llvm

    from skneural.backends.cpu.compiler import compile_uncached
    from skneural.backends.cpu.library import PREFIX

    make, *arguments = key
    kernel = compile_uncached(name, *make(*arguments))
    module = llvm.parse_assembly(kernel.inspect_llvm())
    for function in module.functions:
        if function.name == kernel.native_name:
            function.name = PREFIX + name
        elif not function.is_declaration:
            function.linkage = "internal"  # each kernel keeps its own helpers
        elif not function.name.startswith("llvm.") and function.name not in C_LIBRARY:
            _note(strangers, function.name, "function")
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
        else:
            _note(strangers, variable.name, "variable")
    return _emit(module)


def _note(strangers, name, kind):
    if not STRANGERS.match(name):
        raise RuntimeError(f"A kernel refers to {name!r}: is it of the C library of old systems, too?")
    strangers[name] = kind


def _stubs(strangers):
    """What kernels refer to in Numba's wrappers, for errors that they never raise: functions that end the process."""
    import llvmlite.binding as llvm

    lines = ["declare void @llvm.trap()"]
    for name, kind in strangers.items():
        if kind == "function":
            lines.append(f'define linkonce_odr hidden void @"{name}"() {{ call void @llvm.trap() unreachable }}')
        else:
            lines.append(f'@"{name}" = linkonce_odr hidden global i64 0')
    return llvm.parse_assembly("\n".join(lines))


def _emit(module):
    return _machine().emit_object(module)


@functools.cache
def _machine():
    """Of LLVM, for code that may stand anywhere in memory."""
    import llvmlite.binding as llvm

    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    processor = os.environ["NUMBA_CPU_NAME"]
    features = os.environ["NUMBA_CPU_FEATURES"]
    return target.create_target_machine(cpu=processor, features=features, opt=3, reloc="pic", codemodel="small")


def main(arguments):
    """Make libraries in a folder: by default all."""
    folder, *names = arguments
    for name in names or PROCESSORS:
        print(f"compiling the kernels for {name} ...", flush=True)
        build(name, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
