// Follows the kernels in the file that is compiled: runs a grid of threads, one after another.
//
// Shared memory starts as NaN, so that what nobody wrote is seen. The order in which threads of
// a warp take turns is forwards or backwards: a missing barrier makes the two results differ.

#include <functional>

alignas(16) float4 memory[SHARED_BYTES / 16 + 1];

static const size_t STACK = 1 << 18;
static ucontext_t back, fibers[32];
static std::vector<char> stacks;
static std::function<void()> body;
static int current, running;
static bool done[32];

void give_way() {
    swapcontext(&fibers[current], &back);
}

static void start() {
    body();
    done[current] = true;
}

static void run_warp(int first, bool backwards) {
    stacks.resize(32 * STACK);
    for (int lane = 0; lane < 32; ++lane) {
        getcontext(&fibers[lane]);
        fibers[lane].uc_stack = {&stacks[lane * STACK], 0, STACK};
        fibers[lane].uc_link = &back;
        makecontext(&fibers[lane], start, 0);
        done[lane] = false;
    }
    for (running = 32; running;) {
        running = 0;
        for (int turn = 0; turn < 32; ++turn) {
            current = backwards ? 31 - turn : turn;
            if (done[current]) continue;
            threadIdx.x = first + current;
            swapcontext(&back, &fibers[current]);
            running += !done[current];
        }
    }
}

static void run_grid(int blocks, bool backwards) {
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        std::memset(memory, 0xff, sizeof memory);
        for (int first = 0; first < THREADS; first += 32) run_warp(first, backwards);
    }
}

// Arguments as the driver's API passes them: the address of each.
template <typename... Args, size_t... I>
static void call(void (*kernel)(Args...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<Args *>(arguments[I])...);
}

template <typename... Args>
static void launch(void (*kernel)(Args...), int blocks, void **arguments, bool backwards) {
    body = [=] { call(kernel, arguments, std::index_sequence_for<Args...>{}); };
    run_grid(blocks, backwards);
}

extern "C" __attribute__((visibility("default")))
int cuda_on_cpu_launch(const char *name, int blocks, void **arguments, int backwards) {
    if (!std::strcmp(name, "train")) return launch(train, blocks, arguments, backwards), 0;
    if (!std::strcmp(name, "score")) return launch(score, blocks, arguments, backwards), 0;
    return 1;
}
