// What CUDA C++ kernels need to run on a CPU: words of the language, built-in functions, and
// blocks whose threads are fibers that take turns at every barrier of a warp.
#pragma once
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <ucontext.h>

#define __device__
#define __host__
#define __global__ __attribute__((visibility("default")))
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__

struct Index { int x, y, z; };
static Index threadIdx, blockIdx;

struct alignas(16) float4 { float x, y, z, w; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
template <typename T> static inline T __ldg(const T *at) { return *at; }

static inline float __fmaf_rn(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline int __float_as_int(float x) { int i; std::memcpy(&i, &x, 4); return i; }
static inline float __int_as_float(int i) { float x; std::memcpy(&x, &i, 4); return x; }
static inline int min(int x, int y) { return x < y ? x : y; }

static inline int atomicAdd(int *at, int value) { int old = *at; *at += value; return old; }
static inline int atomicAnd(int *at, int value) { int old = *at; *at &= value; return old; }

// A thread gives way to the next one of its warp. All threads of a warp pass the same
// barriers, so that after 32 turns every one of them has arrived.
void give_way();
static inline void __syncwarp() { give_way(); }
