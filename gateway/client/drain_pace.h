// How many streams of a loop must have ended by when, so that those of all loops end evenly over the window of a
// drain. Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct drain_pace {
    size_t streams;       // that were open at the begin
    uint64_t window_ms;   // below 2^32; 0: all end at once
    unsigned part, parts; // this loop is number `part` (from 0) of `parts`, up to 64
};

// Streams that must have ended `elapsed_ms` after the begin, whatever ended them: all once the window is over.
// Loops with the same number of streams take turns, so that their streams do not end in the same moments.
size_t drain_pace_due(const struct drain_pace *p, uint64_t elapsed_ms);
