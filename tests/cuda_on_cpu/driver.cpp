// Stands in for libcuda.so.1: the functions that kernels/cuda/driver.py calls, on a CPU.
//
// A module's image is the path of a shared library that was compiled from the kernels' source
// between cuda_on_cpu.h and run.h. Memory is the host's. A stream is done before it is left.
// Launches with a stream of 1 let the threads of a warp take turns backwards.

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <string>

#define API extern "C" __attribute__((visibility("default")))

typedef int (*Launch)(const char *, int, void **, int);
struct Module { Launch launch; };
struct Function { Launch launch; std::string name; int shared; };

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };
static const int SHARED_OF_MULTIPROCESSOR = 233472, SHARED_OF_BLOCK = 232448; // bytes, of sm_90
static int launches_until_full = -1;
static int launches = 0;

API int cuInit(unsigned) { return OK; }
API int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal < 0 || ordinal > 7; }
API int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &launches, OK; }
API int cuCtxSetCurrent(void *context) { return context == &launches ? OK : INVALID; }

API int cuGetErrorString(int code, const char **text) {
    *text = code == NOT_FOUND ? "named symbol not found" : "invalid argument";
    return OK;
}

API int cuModuleLoadData(Module **module, const char *image) {
    void *library = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    if (!library) return std::fprintf(stderr, "%s\n", dlerror()), INVALID;
    *module = new Module{reinterpret_cast<Launch>(dlsym(library, "cuda_on_cpu_launch"))};
    return OK;
}

API int cuModuleGetFunction(Function **function, Module *module, const char *name) {
    if (std::strcmp(name, "train") && std::strcmp(name, "score")) return NOT_FOUND;
    *function = new Function{module->launch, name, 0};
    return OK;
}

API int cuFuncSetAttribute(Function *function, int attribute, int value) {
    if (attribute == 9) return value == 100 ? OK : INVALID;
    function->shared = value;
    return attribute == 8 && value <= SHARED_OF_BLOCK ? OK : INVALID;
}

API int cuFuncGetAttribute(int *value, int attribute, Function *) {
    *value = attribute == 4 ? 168 : 0;
    return attribute == 3 || attribute == 4 ? OK : INVALID;
}

API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function *, int, size_t shared) {
    *blocks = shared > 0 ? SHARED_OF_MULTIPROCESSOR / (int(shared) + 1024) : 2;
    if (*blocks > 2) *blocks = 2;
    return OK;
}

API int cuLaunchKernel(Function *function, unsigned x, unsigned y, unsigned z, unsigned, unsigned,
                       unsigned, unsigned shared, void *stream, void **arguments, void **) {
    if (y != 1 || z != 1 || int(shared) != function->shared) return INVALID;
    if (launches_until_full >= 0 && launches_until_full-- == 0) return OUT_OF_MEMORY;
    static std::mutex one_at_a_time; // run.h has one grid
    std::lock_guard<std::mutex> lock(one_at_a_time);
    ++launches;
    return function->launch(function->name.c_str(), x, arguments, stream == (void *)1);
}

// For tests: how many launches there were; the launch, from now, that runs out of memory.
API int cuda_on_cpu_launches() { return launches; }
API void cuda_on_cpu_full_after(int count) { launches_until_full = count; }
