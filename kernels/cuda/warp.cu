// A warp a network, for shapes whose weights and gradients one thread cannot hold.
//
// Forward and backward, a lane works on 4 samples of a chunk of 128; for the gradients, which
// are products of a layer's deltas and activations over all samples, it owns a tile of the
// layer's weights instead and takes the samples in order. So no sum is ever split between
// lanes, and the bits are those of one thread. In shared memory:
//
//   weights  layer after layer, rows [out][fan made up to fours], then the biases
//   values   [neuron][sample of the chunk]: inputs, activations, the output's delta last;
//            deltas take the place of activations once these have been used

constexpr int CHUNK = 128, EACH = CHUNK / 32; // samples, and those of a lane
constexpr int ROW = CHUNK + 4;                // floats: 8 rows at one sample lie in 8 x 4 banks

template <int COUNT> constexpr int fours = (COUNT + 3) / 4 * 4;

template <int K> struct Tile : Layer<K> { // of layer K: a lane owns rows x columns weights
    using L = Layer<K>;
    static constexpr int high = L::out >= 8 ? 8 : L::out >= 4 ? 4 : L::out >= 2 ? 2 : 1;
    static constexpr int wide = 32 / high; // lanes: high x wide
    static constexpr int rows = (L::out + high - 1) / high, columns = (L::fan + wide - 1) / wide;
    static_assert(rows <= wide, "a layer is too wide for a lane to own one bias at the most");
    static constexpr int own = Tile<K - 1>::own_end; // first of them among all that a lane owns
    static constexpr int own_bias = own + rows * columns, own_end = own_bias + 1;
    static constexpr int row = fours<L::fan>;
    static constexpr int weights = Tile<K - 1>::weights_end, biases = weights + L::out * row;
    static constexpr int weights_end = biases + fours<L::out>;
};

template <> struct Tile<-1> {
    static constexpr int own_end = 0, weights_end = 0;
};

constexpr int OWN = Tile<LAYERS - 1>::own_end;
constexpr int WEIGHTS = Tile<LAYERS - 1>::weights_end;
constexpr int SHARED = WEIGHTS + (NEURONS + 1) * ROW; // floats of a warp
static_assert(SHARED * 4 == SHARED_BYTES, "source.py asks for other memory");

INLINE float4 &four(float *at) { return *reinterpret_cast<float4 *>(at); }

struct Four { // what a lane has of a row, one value a sample
    float value[EACH];
    __device__ __forceinline__ Four() {}
    __device__ __forceinline__ Four(float x) {
        UNROLL for (int b = 0; b < EACH; ++b) value[b] = x;
    }
    __device__ __forceinline__ Four(float4 x) : value{x.x, x.y, x.z, x.w} {}
    __device__ __forceinline__ void store(float *at) const {
        four(at) = make_float4(value[0], value[1], value[2], value[3]);
    }
};

INLINE void add_product(Four &sum, float weight, const Four &x) {
    UNROLL for (int b = 0; b < EACH; ++b) sum.value[b] = fma_(weight, x.value[b], sum.value[b]);
}

// Calls body(p, own, at) for every parameter of layer K and on that this lane owns: p among all
// parameters, own among those of the lane, at where it lies in the weights in shared memory.
template <int K, typename Body> INLINE void each_own(int lane, Body body) {
    using T = Tile<K>;
    int high = lane % T::high, wide = lane / T::high;
    UNROLL for (int r = 0; r < T::rows; ++r) {
        int n = high + r * T::high;
        UNROLL for (int c = 0; c < T::columns; ++c) {
            int i = wide + c * T::wide;
            if (n < T::out && i < T::fan)
                body(T::at + n * T::fan + i, T::own + r * T::columns + c,
                     T::weights + n * T::row + i);
        }
    }
    int n = high + wide * T::high; // of the biases a lane owns one at the most
    if (wide < T::rows && n < T::out) body(T::bias + n, T::own_bias, T::biases + n);
    if constexpr (K + 1 < LAYERS) each_own<K + 1>(lane, body);
}

// Adds the products of COUNT inputs of layer K, from the i-th on, for all its neurons.
template <int K, int COUNT>
INLINE void add_inputs(Four (&sums)[Layer<K>::out], float *shared, float *values, int i) {
    using T = Tile<K>;
    Four inputs[COUNT];
    UNROLL for (int k = 0; k < COUNT; ++k) inputs[k] = four(values + (T::source + i + k) * ROW);
    UNROLL for (int n = 0; n < T::out; ++n) {
        Four weights = four(shared + T::weights + n * T::row + i);
        UNROLL for (int k = 0; k < COUNT; ++k) add_product(sums[n], weights.value[k], inputs[k]);
    }
}

// Activations of layer K and on for this lane's samples; the output's go to ``logit``.
template <int K> INLINE void forward(float *shared, float *values, Four &logit) {
    using T = Tile<K>;
    Four sums[T::out];
    UNROLL for (int n = 0; n < T::out; ++n) sums[n] = Four(shared[T::biases + n]);
    // A loop: unrolled, the code of wide shapes outgrows the caches for instructions.
    _Pragma("unroll 1") for (int i = 0; i < T::fan / 4 * 4; i += 4)
        add_inputs<K, 4>(sums, shared, values, i);
    if constexpr (T::fan % 4 > 0)
        add_inputs<K, T::fan % 4>(sums, shared, values, T::fan / 4 * 4);
    if constexpr (K + 1 < LAYERS) {
        UNROLL for (int n = 0; n < T::out; ++n) {
            UNROLL for (int b = 0; b < EACH; ++b) sums[n].value[b] = rectified(sums[n].value[b]);
            sums[n].store(values + (T::to + n) * ROW);
        }
        forward<K + 1>(shared, values, logit);
    } else {
        logit = sums[0];
    }
}

// Adds the gradients of the weights of layer K that this lane owns, over ``count`` samples.
template <int K> INLINE void gradients(float *all, float (&g)[OWN], int lane, int count) {
    using T = Tile<K>;
    int high = lane % T::high, wide = lane / T::high;
    float *deltas[T::rows], *inputs[T::columns];
    // Lanes that own nothing there repeat the last row or column; no-one asks for their sums.
    UNROLL for (int r = 0; r < T::rows; ++r)
        deltas[r] = all + (T::to + min(high + r * T::high, T::out - 1)) * ROW;
    UNROLL for (int c = 0; c < T::columns; ++c)
        inputs[c] = all + (T::source + min(wide + c * T::wide, T::fan - 1)) * ROW;
    float *bias = all + (T::to + min(high + wide * T::high, T::out - 1)) * ROW; // its deltas
    _Pragma("unroll 4") for (int s = 0; s < count; s += 4) {
        Four delta[T::rows], input[T::columns];
        UNROLL for (int r = 0; r < T::rows; ++r) delta[r] = four(deltas[r] + s);
        UNROLL for (int c = 0; c < T::columns; ++c) input[c] = four(inputs[c] + s);
        Four own = T::rows > 1 ? Four(four(bias + s)) : delta[0];
        UNROLL for (int b = 0; b < 4; ++b) {
            UNROLL for (int r = 0; r < T::rows; ++r) {
                UNROLL for (int c = 0; c < T::columns; ++c) {
                    float &sum = g[T::own + r * T::columns + c];
                    sum = fma_(delta[r].value[b], input[c].value[b], sum);
                }
            }
            g[T::own_bias] = __fadd_rn(g[T::own_bias], own.value[b]);
        }
    }
}

// Deltas of the neurons before layer K, for this lane's samples, in place of their activations.
template <int K> INLINE void deltas(float *shared, float *values) {
    using T = Tile<K>;
    Four sums[T::fan];
    UNROLL for (int i = 0; i < T::fan; ++i) sums[i] = Four(0.0f);
    _Pragma("unroll 2") for (int n = 0; n < T::out; ++n) {
        Four delta = four(values + (T::to + n) * ROW);
        UNROLL for (int i = 0; i < T::fan; i += 4) {
            Four weights = four(shared + T::weights + n * T::row + i);
            UNROLL for (int k = 0; k < 4 && i + k < T::fan; ++k)
                add_product(sums[i + k], weights.value[k], delta);
        }
    }
    UNROLL for (int i = 0; i < T::fan; ++i) {
        float *row = values + (T::source + i) * ROW;
        Four active = four(row);
        UNROLL for (int b = 0; b < EACH; ++b)
            sums[i].value[b] = where_positive(active.value[b], sums[i].value[b]);
        sums[i].store(row);
    }
}

template <int K>
INLINE void backward(float *shared, float *all, float (&g)[OWN], int lane, int count) {
    gradients<K>(all, g, lane, count);
    __syncwarp();
    if constexpr (K > 0) {
        deltas<K>(shared, all + lane * EACH);
        __syncwarp();
        backward<K - 1>(shared, all, g, lane, count);
    }
}

// Puts the inputs of this lane's samples among the values; those beyond ``count`` are zeros.
INLINE Four load(float *values, const float *samples, int lane, int count) {
    Four inputs[STRIDE];
    UNROLL for (int b = 0; b < EACH; ++b) {
        const float *from = samples + (lane * EACH + b) * STRIDE;
        UNROLL for (int k = 0; k < STRIDE; k += 4) {
            float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (lane * EACH + b < count) x = __ldg(reinterpret_cast<const float4 *>(from + k));
            inputs[k].value[b] = x.x, inputs[k + 1].value[b] = x.y;
            inputs[k + 2].value[b] = x.z, inputs[k + 3].value[b] = x.w;
        }
    }
    UNROLL for (int i = 0; i < INPUTS; ++i) inputs[i].store(values + i * ROW);
    return inputs[INPUTS];
}

extern __shared__ float4 memory[];

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
train(const Group *__restrict__ groups, float *__restrict__ w, float *__restrict__ v,
      const unsigned *__restrict__ masks, const float *__restrict__ rates, int epochs, int batch,
      int steps, int held, int first, int last, float momentum, float decay, float mean) {
    Group group = groups[blockIdx.x];
    long long index = group.first;
    int lane = threadIdx.x;
    w += index * PARAMETERS, v += index * PARAMETERS;
    masks += index * WORDS, rates += index * epochs;
    const float *samples = group.samples + (long long)(first - held) * batch * STRIDE;
    float *shared = reinterpret_cast<float *>(memory);
    float *all = shared + WEIGHTS, *values = all + lane * EACH;
    float g[OWN];
    unsigned kept[(OWN + 31) / 32] = {};
    each_own<0>(lane, [&](int p, int own, int at) {
        shared[at] = w[p];
        kept[own / 32] |= (masks[p / 32] >> (p % 32) & 1u) << (own % 32);
    });
    for (int at = first; at < last; ++at) {
        UNROLL for (int own = 0; own < OWN; ++own) g[own] = 0.0f;
        for (int start = 0; start < batch; start += CHUNK) {
            int count = min(batch - start, CHUNK);
            __syncwarp(); // the weights are new, or the values still in use
            Four label = load(values, samples + start * STRIDE, lane, count), logit, wrong;
            forward<0>(shared, values, logit);
            UNROLL for (int b = 0; b < EACH; ++b) {
                float delta = __fsub_rn(sigmoid(logit.value[b]), label.value[b]);
                wrong.value[b] = lane * EACH + b < count ? delta : 0.0f;
            }
            wrong.store(values + NEURONS * ROW);
            __syncwarp();
            backward<LAYERS - 1>(shared, all, g, lane, count);
        }
        samples += batch * STRIDE;
        float rate = rates[at / steps];
        each_own<0>(lane, [&](int p, int own, int at) { // momenta need no registers in between
            step(shared[at], v[p], g[own], kept[own / 32] >> (own % 32) & 1u, rate, momentum,
                 decay, mean);
        });
    }
    each_own<0>(lane, [&](int p, int, int at) { w[p] = shared[at]; });
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
score(const float *__restrict__ w, const float *__restrict__ samples, int networks, int points,
      int *__restrict__ correct, int *__restrict__ finite) {
    int lane = threadIdx.x, index = blockIdx.x;
    w += (long long)index * PARAMETERS;
    float *shared = reinterpret_cast<float *>(memory);
    float *values = shared + WEIGHTS + lane * EACH;
    float sum = 0.0f; // NaN once a parameter or a logit is not finite
    int right = 0;
    each_own<0>(lane, [&](int p, int, int at) {
        shared[at] = w[p], sum = fma_(w[p], 0.0f, sum);
    });
    __syncwarp();
    for (int start = 0; start < points; start += CHUNK, samples += CHUNK * STRIDE) {
        int count = min(points - start, CHUNK);
        Four label = load(values, samples, lane, count), logit;
        forward<0>(shared, values, logit);
        UNROLL for (int b = 0; b < EACH; ++b) {
            if (lane * EACH + b >= count) continue;
            sum = fma_(logit.value[b], 0.0f, sum);
            right += (logit.value[b] > 0.0f) == (label.value[b] > 0.0f);
        }
    }
    atomicAdd(&correct[index], right);
    atomicAnd(&finite[index], sum == sum);
}
