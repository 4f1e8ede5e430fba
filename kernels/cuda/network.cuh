// One network: its layers, and the arithmetic of a kernel that gives the bits of kernels/cpu.py.
//
// Before this file, source.py writes WIDTHS (neurons a layer: inputs, hidden layers, 1) and the
// constants of the sigmoid. Every sum is a chain of fused multiply-adds in the order of the CPU
// kernel, and what else could round differently is spelled out; compile with -fmad=false and
// without fast math.

constexpr int LAYERS = sizeof(WIDTHS) / sizeof(WIDTHS[0]) - 1; // of weights
constexpr int INPUTS = WIDTHS[0];
constexpr int STRIDE = (INPUTS + 1 + 3) / 4 * 4; // floats of a sample: inputs, label, padding

template <int K> struct Layer; // of weights, 0 to LAYERS - 1

template <int K> struct Layer {
    static constexpr int fan = WIDTHS[K], out = WIDTHS[K + 1];
    static constexpr int at = Layer<K - 1>::end;     // first weight, row-major [out][fan]
    static constexpr int bias = at + out * fan;      // first bias
    static constexpr int end = bias + out;           // first parameter of the next layer
    static constexpr int source = Layer<K - 1>::to;  // first neuron before the weights
    static constexpr int to = source + fan;          // first neuron behind them
};

template <> struct Layer<-1> {
    static constexpr int end = 0, to = 0;
};

constexpr int PARAMETERS = Layer<LAYERS - 1>::end;
constexpr int WORDS = (PARAMETERS + 31) / 32; // of a mask, bit p % 32 of word p / 32
constexpr int NEURONS = Layer<LAYERS - 1>::to;  // inputs and hidden neurons

#define UNROLL _Pragma("unroll")
#define INLINE static __device__ __forceinline__

INLINE float fma_(float x, float y, float z) { return __fmaf_rn(x, y, z); }

// 0 where value < 0, else value; NaN stays, so that a network that diverged shows.
INLINE float rectified(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    float result;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(result) : "f"(value));
    return result;
#else
    return value < 0.0f ? 0.0f : value;
#endif
}

// value where test > 0, else 0 (NaN is not positive).
INLINE float where_positive(float test, float value) { return test > 0.0f ? value : 0.0f; }

// 1 / value to nearest, for values from 1 to 2^126: what __frcp_rn does, but without its branch
// for other values, so that the loop over samples stays one block of instructions.
INLINE float inverse(float value) {
#ifdef __CUDA_ARCH__
    float guess;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(guess) : "f"(value));
    return fma_(guess, fma_(-value, guess, 1.0f), guess);
#else
    return __frcp_rn(value);
#endif
}

// 1 / (1 + 2^t), t = -z log2 e; constants and their meaning in kernels/sigmoid.py.
INLINE float sigmoid(float z) {
    z = fminf(fmaxf(z, -LIMIT), LIMIT);
    float shifted = fma_(z, MINUS_LOG2E, ROUND);
    float rest = fma_(z, MINUS_LOG2E, __fsub_rn(ROUND, shifted));
    float power = fma_(rest, EXP2_5, EXP2_4);
    power = fma_(rest, power, EXP2_3);
    power = fma_(rest, power, EXP2_2);
    power = fma_(rest, power, EXP2_1);
    power = fma_(rest, power, EXP2_0);
    power = __int_as_float(__float_as_int(power) + (__float_as_int(shifted) << 23));
    return inverse(__fadd_rn(1.0f, power));
}

// One step of SGD with momentum and weight decay; a masked weight is 0.
INLINE void step(float &w, float &v, float g, bool kept, float rate, float momentum, float decay,
                 float mean) {
    float gradient = fma_(decay, w, __fmul_rn(g, mean));
    v = fma_(momentum, v, gradient);
    w = kept ? fma_(-rate, v, w) : 0.0f;
}

// What a block works on: networks first to first + count - 1, which see the same minibatches.
struct Group {
    const float *samples; // [sample][STRIDE], one more than are trained on
    int first, count;
};
