// What the gateways of a tier announce to each other (bus/announcer.h): callbacks on the bus' thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus_tier {
    // The text to announce, which the bus frees, and when the next one is due; NULL when out of memory. `is_leaving`:
    // it is the last one, and may be asked for by another thread when the bus' thread has ended.
    char *(*announce)(void *ctx, bool is_leaving, uint32_t *next_ms);
    bool (*on_announced)(void *ctx, const char *text, size_t len); // false: it is dropped
    void (*on_listening)(void *ctx);                               // the channel is subscribed (again)
    void *ctx;
};
