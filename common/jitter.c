#include "common/jitter.h"

#include <sys/random.h>

#include "common/clock.h"

uint64_t jitter_seed(void)
{
    uint64_t seed = 0;
    // Where the kernel has no random bytes yet, the clock is good enough for spreading.
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed || seed == 0)
        seed = clock_monotonic_ns() | 1;
    return seed;
}

uint64_t jitter_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

uint32_t jitter_ms(uint64_t *state, uint32_t ms)
{
    return ms + (uint32_t)(jitter_next(state) % ((uint64_t)ms + 1));
}
