// The admin listener, served by the main thread's loop: health, metrics, dashboard.
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "gateway/client/client_loop.h"
#include "gateway/client/listener.h"
#include "gateway/process/dashboard.h"
#include "gateway/process/status.h"

#define ADMIN_CONNECTIONS_MAX 16u // of more, the one that was idle longest is closed

struct admin {
    struct client_loop clients;
    struct limits limits; // of its own
    struct listener listener;
    struct dashboard dashboard;
    bool listening;
};

// Serves on `listening` (its descriptor is taken; -1 for none) by `loop`. `settings` as for workers, but that no page
// of another origin may read what is answered here. False when out of memory, or of random numbers.
bool admin_start(struct admin *a, struct ev_loop *loop, const struct client_settings *settings,
                 struct counters *counters, struct status *status, bool show_channels,
                 const struct listen_socket *listening);
void admin_stop(struct admin *a);
