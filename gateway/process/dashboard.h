// The dashboard of the admin listener: one page (deploy/dashboard/index.html, built into the program), and a feed of
// snapshots, one a second, that it draws. While nobody looks, no timer runs and no channel is sampled. The main thread.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/client/feed.h"
#include "gateway/client/page.h"
#include "gateway/process/dashboard_snapshot.h"

// Of the ADMIN_CONNECTIONS_MAX; the others stay for metrics and health.
#define DASHBOARD_VIEWERS_MAX 8u
#define DASHBOARD_EVERY_MS 1000u

struct dashboard {
    struct client_context *clients; // of the admin listener; borrowed
    struct dashboard_view view;
    ev_timer tick;
    uint64_t messages;              // received until the last tick
    struct histogram_sum delivered; // until then
};

// `clients` and `status` are borrowed. False where there are no random numbers.
bool dashboard_init(struct dashboard *d, struct client_context *clients, struct status *status,
                    bool show_channels);
void dashboard_stop(struct dashboard *d);

// Pages (process/pages.h), the second of which acts on the connection.
struct page dashboard_page(void *status);
void dashboard_events(struct conn *c, const struct http_request *req, const struct route *r);
