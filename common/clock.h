// Clocks. Every timer uses the monotonic clock; the wall clock is for logs and token lifetimes only.
#pragma once

#include <stdint.h>

// Milliseconds of CLOCK_MONOTONIC. Any thread.
uint64_t clock_monotonic_ms(void);

// Nanoseconds of CLOCK_MONOTONIC. Any thread.
uint64_t clock_monotonic_ns(void);

// Microseconds since 1970 by the wall clock, which may step. Any thread.
int64_t clock_unix_us(void);
