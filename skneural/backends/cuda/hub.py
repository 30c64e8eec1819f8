"""The one door to Numba's CUDA target: whoever moves to its successor edits this file.

Kernels take ``(op, frames, step)``: the address of an operation, that of the models' frames, and a small number whose
meaning is the kernel's. Everything else stands in the frame, so a launch costs little and one captured graph serves
every epoch.

With ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator runs the kernels as plain Python, for tests: `simulator` has the
chunks that it lacks.
"""

import contextlib
import threading
import warnings

import numba
import numpy as np

IS_SIMULATED = bool(numba.config.ENABLE_CUDASIM)

if not hasattr(np, "row_stack"):  # numba-cuda 0.30 asks for it at its first compilation; NumPy 2.5 dropped it
    setattr(np, "row_stack", np.vstack)  # noqa: B010 (linters would mend the name)

with warnings.catch_warnings():
    # What numba-cuda says of NumPy while it is imported is nobody's business here, who may take warnings for errors.
    warnings.simplefilter("ignore")
    from numba import cuda as _cuda

    if IS_SIMULATED:
        from numba.cuda.simulator.kernel import _get_kernel_context
    else:
        from numba.cuda import cgutils, types
        from numba.cuda import extending as _extending
        from numba.cuda.cudadrv.driver import device_memset as _device_memset
        from numba.cuda.descriptor import cuda_target as _target
        from numba.cuda.extending import intrinsic, overload  # noqa: F401
        from numba.cuda.np.numpy_support import from_dtype

        for _context in (_target.typing_context, _target.target_context):
            _context.refresh()  # imports what else the first compilation would

if IS_SIMULATED:
    from skneural.backends.cuda import simulator

    cuda = simulator.InsideKernel(_cuda, _get_kernel_context)
    types = cgutils = from_dtype = None
else:
    cuda = _cuda

_GUARDING = threading.Lock()
#: Bytes of shared memory that a block has without being asked for more.
SHARED_WITHOUT_ASKING = 48 * 1024
#: How nvJitLink says that what it has been given comes from a newer compiler.
OUTDATED = ("ERROR_OUTDATED_LIBRARY", "Unsupported .version")
#: Numbers that one operation of the device is told: operation, frames, step.
N_ARGUMENTS = 3


def register(function, forceinline=True):
    """Let kernels call a plain Python function, inlined by default."""
    if not IS_SIMULATED:
        _extending.register_jitable(forceinline=forceinline)(function)
    return function


def signature():
    """Numba's signature of every kernel."""
    return types.void(*[types.int64] * N_ARGUMENTS)


def compile_function(function, *, cached):
    """The kernel of a function, compiled at once, or in the simulator as it is."""
    if IS_SIMULATED:
        return _cuda.jit(function)
    options = {"max_registers": function.most_registers} if hasattr(function, "most_registers") else {}
    # Without lto it is PTX that becomes machine code, as in `to_ptx`: what runs is what the tests have looked at.
    return _cuda.jit(signature(), cache=cached, lto=False, **options)(function)


def architecture(capability):
    """What Numba compiles for on a GPU of a compute capability like (9, 0): from there on (9, 0, 'a')."""
    return (*capability, "a") if capability >= (9, 0) else capability


def forget(function):
    """Drop what is kept of a kernel on disk."""
    if not IS_SIMULATED:
        from numba.cuda.dispatcher import CUDACache

        CUDACache(function).flush()


def to_ptx(function, capability):
    """PTX of a kernel for a compute capability like (9, 0), as a GPU gets it. Needs none."""
    from numba.cuda import dispatcher

    asked = dispatcher.get_current_device
    absent = type("Absent", (), {"compute_capability": capability})()
    dispatcher.get_current_device = lambda: absent  # some instructions ask what the GPU can do
    try:
        return _cuda.compile_ptx(function, signature(), cc=architecture(capability))[0]
    finally:
        dispatcher.get_current_device = asked


def _compiled(kernel):
    """What Numba compiled for the one signature that kernels have."""
    (compiled,) = kernel.overloads.values()
    return compiled


def launch(kernel, grid, block, shared, stream, arguments):
    """Start a kernel on a stream, or add it to the graph that is captured from it.

    Numba's own way there, ``kernel[grid, block]``, warns of small grids, and remembers streams that are gone.
    """
    if IS_SIMULATED:
        kernel[grid, block, stream, shared](*arguments)
    else:
        _compiled(kernel).launch(arguments, grid, (block, 1, 1), stream, shared)


def load(kernel, size):
    """Load a kernel on the current GPU, and let its blocks have `size` bytes of shared memory.

    If that is more than they get without asking, as much as there is is asked for: it reserves nothing, and a kernel
    serves layers of any width.
    """
    if IS_SIMULATED:
        return
    handle = _compiled(kernel)._codelibrary.get_cufunc().kernel.handle
    if size <= SHARED_WITHOUT_ASKING:
        return
    from cuda.bindings import driver

    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    device = driver.CUdevice(_cuda.get_current_device().id)
    (error,) = driver.cuKernelSetAttribute(attribute, shared_limit(), handle, device)
    if error != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"This GPU does not give a block {size} bytes of shared memory ({error.name}).")


# -- memory ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def on_device(index):
    """Context manager: what is inside uses that GPU."""
    if IS_SIMULATED:
        yield
        return
    with _cuda.gpus[index]:
        _guard(pending_memory())
        yield


def pending_memory():
    """Numba's list of what is to be freed on the current GPU."""
    return _cuda.current_context().memory_manager.deallocations


def _guard(pending):
    """Let one thread at a time change the list of what is to be freed.

    All threads share it. Numba adds to it whenever an array dies, and frees what stands there once it is long: two
    that do so at once would free something twice, or find the list empty in the middle.
    """
    with _GUARDING:
        if hasattr(pending, "is_guarded"):
            return
        pending.is_guarded = True  # an array may die while others are freed
        lock = threading.RLock()
        add = pending.add_item
        clear = pending.clear

        def add_alone(*what):
            with lock:
                add(*what)

        def clear_alone():
            with lock, contextlib.suppress(IndexError):  # what died meanwhile has emptied the list
                clear()

        pending.add_item = add_alone
        pending.clear = clear_alone


def empty(count, dtype, stream=0):
    """An array on the device, whose content is arbitrary."""
    if IS_SIMULATED:
        return simulator.allocate(count, dtype)
    return _cuda.device_array(count, dtype, stream=stream)


def zeros(count, dtype, stream=0):
    """An array of zeros on the device."""
    array = empty(count, dtype, stream)
    if IS_SIMULATED:
        array[:] = 0
    else:
        _device_memset(array, 0, array.nbytes, stream)
    return array


def _beginning(array, count):
    """The first numbers of an array; itself if that is all, since slicing takes longer than copying a frame."""
    return array if array.size == count else array[:count]


def copy_in(target, host, stream):
    """Copy a contiguous array of the host to the beginning of one on the device. Returns when `host` may change."""
    if IS_SIMULATED:
        target[: host.size] = host.reshape(-1)
        return
    if host.size:
        _beginning(target, host.size).copy_to_device(host.reshape(-1), stream=stream)
        stream.sync()


def copy_in_later(target, host, stream):
    """The same from pinned memory, which must not change before the stream has come that far."""
    if IS_SIMULATED:
        copy_in(target, host, stream)
    else:
        _beginning(target, host.size).copy_to_device(host.reshape(-1), stream=stream)


def copy_out(source, host, stream):
    """Copy the beginning of an array on the device to a contiguous one of the host, and wait for it."""
    if IS_SIMULATED:
        host.reshape(-1)[:] = source[: host.size]
        return
    if host.size:
        _beginning(source, host.size).copy_to_host(host.reshape(-1), stream=stream)
        stream.sync()


def pinned(count, dtype):
    """Memory of the host that the device reads while the host does something else."""
    return np.zeros(count, dtype) if IS_SIMULATED else _cuda.pinned_array(count, dtype)


def address(array):
    """Where an array on the device begins, 0 for None."""
    if array is None:
        return 0
    if IS_SIMULATED:
        return array.__array_interface__["data"][0]
    return int(array.device_ctypes_pointer.value or 0)


def memory_info():
    """Free and total bytes on the current GPU."""
    info = _cuda.current_context().get_memory_info()
    return info.free, info.total


def give_back_memory():
    """Free at once what was let go of: Numba itself collects it for later."""
    if not IS_SIMULATED:
        pending_memory().clear()


def n_processors():
    """Multiprocessors of the current GPU."""
    return 1 if IS_SIMULATED else _cuda.get_current_device().MULTIPROCESSOR_COUNT


def shared_limit():
    """Bytes of shared memory that a block of the current GPU can have."""
    if IS_SIMULATED:
        return simulator.SHARED
    return _cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN


# -- streams, graphs and errors ----------------------------------------------------------------------------------------


def new_stream(index):
    """A stream of its own; work on several of them may overlap."""
    if IS_SIMULATED:
        return 0
    from cuda.core import Device

    device = Device(index)
    device.set_current()
    return device.create_stream()


def wait(stream):
    """Wait until the work of a stream is done."""
    if not IS_SIMULATED:
        stream.sync()


def mark(stream):
    """A point in the work of a stream that others can wait for."""
    return None if IS_SIMULATED else stream.record()


def wait_for(stream, point):
    """Let the work given to `stream` from now on wait for such a point."""
    if not IS_SIMULATED:
        stream.wait(point)


def reach(point):
    """Wait for such a point here."""
    if not IS_SIMULATED:
        point.sync()


def capture(index, start_all):
    """What `start_all(stream)` launches, as a CUDA graph: a function of a stream that runs it; None in the simulator.

    All kernels must have been compiled, and used once: a module cannot be loaded while a graph is captured.
    """
    if IS_SIMULATED:
        return None
    from cuda.core import Device

    builder = Device(index).create_graph_builder().begin_building()
    start_all(builder.stream)
    return builder.end_building().complete().launch


def _linker_version():
    """The version of nvJitLink, like 13.0."""
    from cuda.bindings import nvjitlink

    return ".".join(map(str, nvjitlink.version()))


@contextlib.contextmanager
def readable_errors(what):
    """Turn the driver's errors into ones that say what happened and what to do."""
    try:
        yield
    except Exception as error:  # those of Numba and of cuda.core have no common class
        text = str(error)
        if "OUT_OF_MEMORY" in text:
            raise MemoryError(
                f"The GPU ran out of memory while {what}; another process may use it as well. A smaller batch_size "
                "needs less, and device='cpu' none."
            ) from error
        if any(words in text for words in OUTDATED):
            raise RuntimeError(
                f"The GPU's code cannot be linked while {what}: libNVVM, which compiles it, is newer than nvJitLink "
                f"{_linker_version()}, which does not understand it. Install both of one release of CUDA, such as "
                "nvidia-nvvm and nvidia-nvjitlink of the same version, with pip."
            ) from error
        if "CUDA_ERROR" not in text:
            raise
        advice = (
            "The estimator holds the weights of the last epoch that was noted. After an error like this the process "
            "has often lost the GPU: restart it, or use device='cpu'."
        )
        if "DEVICE_UNAVAILABLE" in text or "DEVICE_ALREADY" in text:
            advice = "Another process holds the GPU for itself: wait for it, or use device='cpu'."
        raise RuntimeError(f"The GPU failed while {what}: {text}. {advice}") from error
