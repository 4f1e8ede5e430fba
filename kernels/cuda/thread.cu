// A thread a network. All arrays are indexed by constants, so that they live in registers;
// momenta, which are touched once a minibatch, lie in shared memory, a column a thread.

struct Net {
    float w[PARAMETERS], g[PARAMETERS];
    float a[NEURONS + 1]; // inputs, activations of hidden neurons, the logit
};

template <int K> INLINE void forward(const float (&w)[PARAMETERS], float (&a)[NEURONS + 1]) {
    using L = Layer<K>;
    UNROLL for (int n = 0; n < L::out; ++n) {
        float sum = w[L::bias + n];
        UNROLL for (int i = 0; i < L::fan; ++i)
            sum = fma_(w[L::at + n * L::fan + i], a[L::source + i], sum);
        a[L::to + n] = K + 1 < LAYERS ? rectified(sum) : sum;
    }
    if constexpr (K + 1 < LAYERS) forward<K + 1>(w, a);
}

// Adds the gradients of layer K, from the deltas of its neurons; so downwards.
template <int K> INLINE void backward(Net &net, const float (&delta)[Layer<K>::out]) {
    using L = Layer<K>;
    UNROLL for (int n = 0; n < L::out; ++n) {
        // In the first layer a neuron that is 0 is passed over: predicates are free. Above, its
        // delta is made 0, since it goes on downwards.
        if (K > 0 || net.a[L::to + n] > 0.0f) {
            UNROLL for (int i = 0; i < L::fan; ++i) {
                float &g = net.g[L::at + n * L::fan + i];
                g = fma_(delta[n], net.a[L::source + i], g);
            }
            net.g[L::bias + n] = __fadd_rn(net.g[L::bias + n], delta[n]);
        }
    }
    if constexpr (K > 0) {
        float back[L::fan];
        UNROLL for (int i = 0; i < L::fan; ++i) {
            float sum = 0.0f;
            UNROLL for (int n = 0; n < L::out; ++n)
                sum = fma_(net.w[L::at + n * L::fan + i], delta[n], sum);
            back[i] = K > 1 ? where_positive(net.a[L::source + i], sum) : sum;
        }
        backward<K - 1>(net, back);
    }
}

struct Sample {
    float value[STRIDE];
    __device__ __forceinline__ void load(const float *from) {
        UNROLL for (int k = 0; k < STRIDE; k += 4) {
            float4 four = __ldg(reinterpret_cast<const float4 *>(from + k));
            value[k] = four.x, value[k + 1] = four.y, value[k + 2] = four.z, value[k + 3] = four.w;
        }
    }
};

static_assert(PARAMETERS * 4 * THREADS == SHARED_BYTES, "source.py asks for other memory");
extern __shared__ float4 memory[]; // momenta [parameter][thread]

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
train(const Group *__restrict__ groups, float *__restrict__ w, float *__restrict__ v,
      const unsigned *__restrict__ masks, const float *__restrict__ rates, int epochs, int batch,
      int steps, int held, int first, int last, float momentum, float decay, float mean) {
    Group group = groups[blockIdx.x];
    if (threadIdx.x >= group.count) return;
    long long index = group.first + threadIdx.x;
    float *velocity = reinterpret_cast<float *>(memory) + threadIdx.x;
    w += index * PARAMETERS, v += index * PARAMETERS;
    rates += index * epochs;
    unsigned mask[WORDS];
    Net net;
    UNROLL for (int k = 0; k < WORDS; ++k) mask[k] = masks[index * WORDS + k];
    UNROLL for (int p = 0; p < PARAMETERS; ++p) net.w[p] = w[p], velocity[p * THREADS] = v[p];
    const float *samples = group.samples + (long long)(first - held) * batch * STRIDE;
    Sample next;
    next.load(samples); // one ahead: its load is under way while a sample is worked on
    for (int at = first; at < last; ++at) {
        UNROLL for (int p = 0; p < PARAMETERS; ++p) net.g[p] = 0.0f;
        _Pragma("unroll 4") for (int b = 0; b < batch; ++b) {
            samples += STRIDE;
            UNROLL for (int i = 0; i < INPUTS; ++i) net.a[i] = next.value[i];
            float label = next.value[INPUTS];
            next.load(samples);
            forward<0>(net.w, net.a);
            float delta[] = {__fsub_rn(sigmoid(net.a[NEURONS]), label)};
            backward<LAYERS - 1>(net, delta);
        }
        float rate = rates[at / steps];
        UNROLL for (int p = 0; p < PARAMETERS; ++p)
            step(net.w[p], velocity[p * THREADS], net.g[p], mask[p / 32] >> (p % 32) & 1u, rate,
                 momentum, decay, mean);
    }
    UNROLL for (int p = 0; p < PARAMETERS; ++p) w[p] = net.w[p], v[p] = velocity[p * THREADS];
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
score(const float *__restrict__ w, const float *__restrict__ samples, int networks, int points,
      int *__restrict__ correct, int *__restrict__ finite) {
    int index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= networks) return;
    w += (long long)index * PARAMETERS;
    float own[PARAMETERS], a[NEURONS + 1];
    float sum = 0.0f; // NaN once a parameter or a logit is not finite
    int right = 0;
    UNROLL for (int p = 0; p < PARAMETERS; ++p) own[p] = w[p], sum = fma_(own[p], 0.0f, sum);
    Sample next;
    next.load(samples);
    _Pragma("unroll 1") for (int s = 0; s < points; ++s) {
        samples += STRIDE;
        UNROLL for (int i = 0; i < INPUTS; ++i) a[i] = next.value[i];
        float label = next.value[INPUTS];
        next.load(samples);
        forward<0>(own, a);
        sum = fma_(a[NEURONS], 0.0f, sum);
        right += (a[NEURONS] > 0.0f) == (label > 0.0f);
    }
    correct[index] = right, finite[index] = sum == sum;
}
