// What the dashboard shows at one moment, as JSON on one line (docs/operations.md, "Dashboard"). The main thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/bus/busy_channels.h"
#include "gateway/process/status.h"

struct dashboard_view {
    struct status *status; // borrowed
    bool show_channels;    // else a digest stands for a channel's name
    unsigned char salt[32];
    struct busy_channel busy[BUSY_CHANNELS]; // of the last second
    size_t busy_count;
    struct histogram_sum delivered; // deliveries of the last second, by latency
};

// The caller frees it. NULL when out of memory.
char *dashboard_snapshot(const struct dashboard_view *v);
