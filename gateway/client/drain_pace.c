#include "gateway/client/drain_pace.h"

#include <assert.h>

// Stream k of n is due at (k + phase) / n of the window, where the phase is in the middle of the loop's part of the
// distance between two streams: for two loops of two streams
//
//      0         window/2        window
//      |---0---1---|---0---1---|
//
// so a stream alone ends in the middle, and none at the very end.
size_t drain_pace_due(const struct drain_pace *p, uint64_t elapsed_ms)
{
    assert(p->part < p->parts && p->parts <= 64 && p->streams < UINT64_C(1) << 24);
    if (elapsed_ms >= p->window_ms)
        return p->streams;
    // 2 * parts * (k + phase) <= 2 * parts * streams * elapsed / window, each times the window
    uint64_t unit = 2u * p->parts * p->window_ms, phase = (2u * p->part + 1) * p->window_ms;
    uint64_t passed = 2u * p->parts * (uint64_t)p->streams * elapsed_ms;
    return passed < phase ? 0 : (size_t)((passed - phase) / unit) + 1;
}
