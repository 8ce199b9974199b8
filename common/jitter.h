// Random spread for delays, so that many clients or gateways do not act in the same instant. Not for secrets.
#pragma once

#include <stdint.h>

// Draws a state from the kernel (never 0). Any thread.
uint64_t jitter_seed(void);
// The next random number of a state (xorshift64*). The state belongs to one thread.
uint64_t jitter_next(uint64_t *state);
// Evenly from [ms, 2 * ms].
uint32_t jitter_ms(uint64_t *state, uint32_t ms);
