/* A CUDA driver that runs no kernels: it keeps memory on the host and checks every call.

   With it the whole way from an estimator to the driver can be taken without a GPU: contexts, streams, copies, modules,
   launches, graphs. What a real driver would refuse is refused with the same error, and noted in the file that
   DRIVER_LOG names; so are things that it would not refuse, but that we do not do. */
#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
#define GIGABYTE (1ull << 30)

static const size_t CAPACITY = 8 * GIGABYTE; /* of the device */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for what threads share */

static void note(const char *format, ...) {
    FILE *log = fopen(getenv("DRIVER_LOG"), "a");
    va_list arguments;
    char line[1024];
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    length = length < (int)sizeof line - 1 ? length : (int)sizeof line - 2;
    line[length] = '\n';
    fwrite(line, 1, length + 1, log); /* at once: others write, too */
    fclose(log);
}
#define REFUSE(error, ...) do { note("refused: " __VA_ARGS__); return error; } while (0)

/* -- the device and its context ------------------------------------------------------------------------------------- */

static __thread CUcontext stack[64];
static __thread int depth = 0;
static char context_of_device;
#define IN_CONTEXT() do { if (depth == 0) REFUSE(CUDA_ERROR_INVALID_CONTEXT, "%s without a context", __func__); } while (0)

API CUresult cuInit(unsigned flags) { return CUDA_SUCCESS; }
API CUresult cuDriverGetVersion(int *version) { *version = 13000; return CUDA_SUCCESS; }
API CUresult cuDeviceGetCount(int *count) { *count = 1; return CUDA_SUCCESS; }
API CUresult cuDeviceGet(CUdevice *device, int number) {
    *device = number;
    return number == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
API CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    snprintf(name, length, "None");
    return CUDA_SUCCESS;
}
API CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) { memset(uuid, 1, 16); return CUDA_SUCCESS; }
API CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device) { *bytes = CAPACITY; return CUDA_SUCCESS; }
API CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 227 * 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = 48 * 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    default: *value = 1;
    }
    return CUDA_SUCCESS;
}
API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    *context = (CUcontext)&context_of_device;
    return getenv("DRIVER_EXCLUSIVE") ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
}
API CUresult cuDevicePrimaryCtxRelease(CUdevice device) { return CUDA_SUCCESS; }
API CUresult cuCtxGetCurrent(CUcontext *context) { *context = depth ? stack[depth - 1] : NULL; return CUDA_SUCCESS; }
API CUresult cuCtxSetCurrent(CUcontext context) {
    if (depth > 0) depth--;
    if (context != NULL) stack[depth++] = context;
    return CUDA_SUCCESS;
}
API CUresult cuCtxPushCurrent(CUcontext context) { stack[depth++] = context; return CUDA_SUCCESS; }
API CUresult cuCtxPopCurrent(CUcontext *context) { IN_CONTEXT(); *context = stack[--depth]; return CUDA_SUCCESS; }
API CUresult cuCtxGetDevice(CUdevice *device) { IN_CONTEXT(); *device = 0; return CUDA_SUCCESS; }
API CUresult cuCtxSynchronize(void) { IN_CONTEXT(); return CUDA_SUCCESS; }
API CUresult cuCtxGetId(CUcontext context, unsigned long long *id) { *id = 1; return CUDA_SUCCESS; }
API CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = *greatest = 0; return CUDA_SUCCESS; }

/* -- streams, events, graphs ---------------------------------------------------------------------------------------- */

typedef struct { unsigned flags; int capturing; size_t nodes; } Stream;
/* Captures that are going on: of this thread, and in all of those that forbid other threads what breaks a capture. */
static __thread int captures = 0;
static int strict_captures = 0;
#define BREAKS_A_CAPTURE(what) do { \
    if (captures) note("refused: %s while capturing", what); \
    if (__atomic_load_n(&strict_captures, __ATOMIC_SEQ_CST)) note("refused: %s while another thread captures", what); \
} while (0)
#define OWN(stream) ((uintptr_t)(stream) > 16) /* not one of the default streams */
#define CAPTURING(stream) (OWN(stream) && ((Stream *)(stream))->capturing)

API CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
    IN_CONTEXT();
    Stream *made = calloc(1, sizeof *made);
    made->flags = flags;
    *stream = (CUstream)made;
    return CUDA_SUCCESS;
}
API CUresult cuStreamCreate(CUstream *stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }
API CUresult cuStreamDestroy(CUstream stream) { return CUDA_SUCCESS; }
API CUresult cuStreamSynchronize(CUstream stream) {
    IN_CONTEXT();
    if (CAPTURING(stream)) REFUSE(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "waiting for a stream that is captured");
    return CUDA_SUCCESS;
}
API CUresult cuStreamQuery(CUstream stream) { return CUDA_SUCCESS; }
API CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
    *context = (CUcontext)&context_of_device;
    return CUDA_SUCCESS;
}
API CUresult cuStreamGetFlags(CUstream stream, unsigned *flags) {
    *flags = OWN(stream) ? ((Stream *)stream)->flags : 0;
    return CUDA_SUCCESS;
}
API CUresult cuStreamGetPriority(CUstream stream, int *priority) { *priority = 0; return CUDA_SUCCESS; }
API CUresult cuStreamGetDevice(CUstream stream, CUdevice *device) { *device = 0; return CUDA_SUCCESS; }
API CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) { IN_CONTEXT(); return CUDA_SUCCESS; }
API CUresult cuEventCreate(CUevent *event, unsigned flags) { IN_CONTEXT(); *event = malloc(8); return CUDA_SUCCESS; }
API CUresult cuEventDestroy(CUevent event) { return CUDA_SUCCESS; }
API CUresult cuEventRecord(CUevent event, CUstream stream) { IN_CONTEXT(); return CUDA_SUCCESS; }
API CUresult cuEventSynchronize(CUevent event) { IN_CONTEXT(); return CUDA_SUCCESS; }

API CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    IN_CONTEXT();
    if (getenv("DRIVER_NO_GRAPHS")) return CUDA_ERROR_NOT_SUPPORTED;
    ((Stream *)stream)->capturing = mode == CU_STREAM_CAPTURE_MODE_RELAXED ? 1 : 2;
    ((Stream *)stream)->nodes = 0;
    captures++;
    if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL) __atomic_add_fetch(&strict_captures, 1, __ATOMIC_SEQ_CST);
    if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL) ((Stream *)stream)->capturing = 3;
    return CUDA_SUCCESS;
}
API CUresult cuStreamBeginCaptureToGraph(
    CUstream stream, CUgraph graph, const CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count,
    CUstreamCaptureMode mode
) {
    return cuStreamBeginCapture(stream, mode);
}
API CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    IN_CONTEXT();
    if (((Stream *)stream)->capturing == 3) __atomic_sub_fetch(&strict_captures, 1, __ATOMIC_SEQ_CST);
    ((Stream *)stream)->capturing = 0;
    captures--;
    size_t *made = malloc(sizeof *made);
    *made = ((Stream *)stream)->nodes;
    *graph = (CUgraph)made;
    return CUDA_SUCCESS;
}
API CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
    *status = CAPTURING(stream) ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}
API CUresult cuStreamGetCaptureInfo(
    CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph, const CUgraphNode **nodes,
    const CUgraphEdgeData **edges, size_t *count
) {
    if (id) *id = 1;
    if (graph) *graph = (CUgraph)&((Stream *)stream)->nodes;
    if (count) *count = 0;
    return cuStreamIsCapturing(stream, status);
}
API CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) { return CUDA_SUCCESS; }
API CUresult cuGraphCreate(CUgraph *graph, unsigned flags) { *graph = calloc(1, sizeof(size_t)); return CUDA_SUCCESS; }
API CUresult cuGraphInstantiateWithParams(CUgraphExec *ready, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params) {
    params->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    *ready = (CUgraphExec)graph;
    return CUDA_SUCCESS;
}
API CUresult cuGraphInstantiate(CUgraphExec *ready, CUgraph graph, unsigned long long flags) {
    *ready = (CUgraphExec)graph;
    return CUDA_SUCCESS;
}
API CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) {
    IN_CONTEXT();
    note("graph of %zu launches", *(size_t *)graph);
    return CUDA_SUCCESS;
}
API CUresult cuUserObjectCreate(
    CUuserObject *object, void *data, CUhostFn destroy, unsigned count, unsigned flags
) {
    *object = malloc(8);
    return CUDA_SUCCESS;
}
API CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned count, unsigned flags) {
    return CUDA_SUCCESS;
}
API CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned count) { return CUDA_SUCCESS; }
API CUresult cuGraphDestroy(CUgraph graph) { return CUDA_SUCCESS; }
API CUresult cuGraphExecDestroy(CUgraphExec graph) { return CUDA_SUCCESS; }

/* -- memory --------------------------------------------------------------------------------------------------------- */

typedef struct Block { char *begin; size_t size; struct Block *next; } Block;
static Block *blocks = NULL;
static size_t used = 0;

static int is_ours(CUdeviceptr address, size_t size) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (Block *block = blocks; block != NULL && !found; block = block->next)
        found = (char *)address >= block->begin && (char *)address + size <= block->begin + block->size;
    pthread_mutex_unlock(&lock);
    return found;
}
#define CHECK_COPY(address, size, stream) do { \
    IN_CONTEXT(); \
    if (!is_ours(address, size)) REFUSE(CUDA_ERROR_INVALID_VALUE, "%s outside of what was allocated", __func__); \
    if (!OWN(stream)) note("refused: %s on the default stream", __func__); \
    if (CAPTURING(stream)) REFUSE(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s while capturing", __func__); \
} while (0)

API CUresult cuMemAlloc(CUdeviceptr *address, size_t size) {
    IN_CONTEXT();
    BREAKS_A_CAPTURE("allocating");
    const char *limit = getenv("DRIVER_LIMIT");
    Block *block = malloc(sizeof *block);
    pthread_mutex_lock(&lock);
    int fits = used + size <= (limit ? strtoull(limit, NULL, 10) : CAPACITY);
    if (fits && posix_memalign((void **)&block->begin, 512, size) == 0) {
        memset(block->begin, 0, size);
        block->size = size;
        block->next = blocks;
        blocks = block;
        used += size;
        *address = (CUdeviceptr)block->begin;
    } else {
        fits = 0;
        free(block);
    }
    pthread_mutex_unlock(&lock);
    return fits ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
API CUresult cuMemFree(CUdeviceptr address) {
    IN_CONTEXT();
    Block *found = NULL;
    pthread_mutex_lock(&lock);
    for (Block **place = &blocks; *place != NULL && found == NULL; place = found ? place : &(*place)->next) {
        if ((*place)->begin == (char *)address) {
            found = *place;
            *place = found->next;
            used -= found->size;
        }
    }
    pthread_mutex_unlock(&lock);
    if (found == NULL) REFUSE(CUDA_ERROR_INVALID_VALUE, "freeing what was not allocated");
    free(found->begin);
    free(found);
    return CUDA_SUCCESS;
}
API CUresult cuMemGetInfo(size_t *left, size_t *total) {
    IN_CONTEXT();
    *total = CAPACITY;
    *left = CAPACITY - used;
    return CUDA_SUCCESS;
}
static int pinned = 0;
API int driver_pinned(void) { return pinned; } /* pieces of the host's memory that are held for the device */
API CUresult cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    IN_CONTEXT();
    *address = malloc(size);
    __atomic_add_fetch(&pinned, 1, __ATOMIC_SEQ_CST);
    return CUDA_SUCCESS;
}
API CUresult cuMemFreeHost(void *address) {
    IN_CONTEXT();
    free(address);
    __atomic_sub_fetch(&pinned, 1, __ATOMIC_SEQ_CST);
    return CUDA_SUCCESS;
}
API CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    CHECK_COPY(to, size, stream);
    memcpy((void *)to, from, size);
    return CUDA_SUCCESS;
}
API CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    CHECK_COPY(from, size, stream);
    const char *lost = getenv("DRIVER_LOST");
    static int copies = 0;
    if (lost && ++copies > atoi(lost)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    memcpy(to, (void *)from, size);
    return CUDA_SUCCESS;
}
API CUresult cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t size) {
    return cuMemcpyHtoDAsync(to, from, size, NULL);
}
API CUresult cuMemcpyDtoH(void *to, CUdeviceptr from, size_t size) { return cuMemcpyDtoHAsync(to, from, size, NULL); }
API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
    CHECK_COPY(to, size, stream);
    memset((void *)to, value, size);
    return CUDA_SUCCESS;
}
API CUresult cuMemsetD8(CUdeviceptr to, unsigned char value, size_t size) {
    return cuMemsetD8Async(to, value, size, NULL);
}
API CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address) {
    *(uint64_t *)data = address;
    return CUDA_SUCCESS;
}

/* -- kernels -------------------------------------------------------------------------------------------------------- */

typedef struct { char name[512]; unsigned shared; } Kernel;

API CUresult cuLibraryLoadData(
    CUlibrary *library, const void *code, CUjit_option *options, void **values, unsigned count,
    CUlibraryOption *more, void **more_values, unsigned more_count
) {
    IN_CONTEXT();
    BREAKS_A_CAPTURE("loading a module");
    *library = malloc(8);
    return CUDA_SUCCESS;
}
API CUresult cuLibraryUnload(CUlibrary library) { return CUDA_SUCCESS; }
API CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name) {
    Kernel *made = calloc(1, sizeof *made);
    snprintf(made->name, sizeof made->name, "%s", name);
    made->shared = 48 * 1024;
    *kernel = (CUkernel)made;
    return CUDA_SUCCESS;
}
API CUresult cuKernelGetLibrary(CUlibrary *library, CUkernel kernel) { *library = NULL; return CUDA_SUCCESS; }
API CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device) {
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 32;
    return CUDA_SUCCESS;
}
API CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device) {
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) ((Kernel *)kernel)->shared = value;
    return value <= 227 * 1024 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API CUresult cuKernelGetParamInfo(CUkernel kernel, size_t number, size_t *offset, size_t *size) {
    *offset = 8 * number;
    *size = 8;
    return number < 3 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction function, void **arguments, void **extra) {
    IN_CONTEXT();
    Kernel *kernel = (Kernel *)function;
    unsigned threads = c->blockDimX * c->blockDimY * c->blockDimZ;
    if (!c->gridDimX || !c->gridDimY || !c->gridDimZ || c->gridDimY > 65535 || c->gridDimZ > 65535)
        REFUSE(CUDA_ERROR_INVALID_VALUE, "grid %u %u %u of %s", c->gridDimX, c->gridDimY, c->gridDimZ, kernel->name);
    if (threads == 0 || threads > 1024) REFUSE(CUDA_ERROR_INVALID_VALUE, "%u threads of %s", threads, kernel->name);
    if (c->sharedMemBytes > kernel->shared)
        REFUSE(CUDA_ERROR_INVALID_VALUE, "%u bytes of shared memory for %s", c->sharedMemBytes, kernel->name);
    if (!is_ours(*(CUdeviceptr *)arguments[1], 8)) note("refused: frames of %s are not on the device", kernel->name);
    if (!OWN(c->hStream)) note("refused: %s on the default stream", kernel->name);
    if (CAPTURING(c->hStream)) ((Stream *)c->hStream)->nodes++;
    return CUDA_SUCCESS;
}
API CUresult cuLaunchKernel(
    CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    CUstream stream, void **arguments, void **extra
) {
    CUlaunchConfig config = {gx, gy, gz, bx, by, bz, shared, stream, NULL, 0};
    return cuLaunchKernelEx(&config, function, arguments, extra);
}

/* -- the rest ------------------------------------------------------------------------------------------------------- */

API CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : error == CUDA_ERROR_DEVICE_UNAVAILABLE ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
            : error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == CUDA_ERROR_INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE" : "CUDA_ERROR_UNKNOWN";
    return CUDA_SUCCESS;
}
API CUresult cuGetErrorString(CUresult error, const char **text) { return cuGetErrorName(error, text); }

static CUresult not_here(void) { return CUDA_ERROR_NOT_SUPPORTED; }

API CUresult cuGetProcAddress(
    const char *name, void **function, int version, cuuint64_t flags, CUdriverProcAddressQueryResult *status
) {
    /* The header renames functions to their newest versions. */
    static const char *const endings[] = {"_v4", "_v3", "_v2", "_v1", ""};
    void *self = dlopen(getenv("DRIVER_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
    *function = NULL;
    for (int i = 0; i < 5 && *function == NULL; i++) {
        char full[256];
        snprintf(full, sizeof full, "%s%s", name, endings[i]);
        *function = dlsym(self, full);
    }
    if (*function == NULL) *function = (void *)not_here;
    if (status) *status = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
}
