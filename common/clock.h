// Clocks. Every timer uses the monotonic clock; the wall clock is for logs and token lifetimes only.
#pragma once

#include <stdint.h>

// Milliseconds of CLOCK_MONOTONIC. Any thread.
uint64_t clock_monotonic_ms(void);

// Nanoseconds of CLOCK_MONOTONIC. Any thread.
uint64_t clock_monotonic_ns(void);
