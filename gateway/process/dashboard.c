#include "gateway/process/dashboard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "gateway/client/answer.h"
#include "gateway/process/dashboard_html.h"

// Messages a second that are sampled, whatever the load is: less than a thousandth of the bus' time. In the first
// second, of whose load nothing is known, one of FIRST_EVERY is: bounded as well up to 200,000 messages.
#define SAMPLES_PER_S 2000u
#define FIRST_EVERY 100u

static uint64_t messages_received(const struct dashboard *d)
{
    return status_count(d->view.status, COUNTER_MESSAGES_RECEIVED);
}

// One of how many messages is sampled in the next second, judged by the last one.
static uint32_t sample_every(struct dashboard *d)
{
    uint64_t before = d->messages;
    d->messages = messages_received(d);
    return 1 + (uint32_t)((d->messages - before) / SAMPLES_PER_S);
}

// What was delivered since the last call, by latency.
static struct histogram_sum delivered_lately(struct dashboard *d)
{
    struct histogram_sum now = {0}, lately;
    status_times(d->view.status, HISTOGRAM_DELIVERY, &now);
    lately = now;
    lately.count -= d->delivered.count;
    lately.sum_ns -= d->delivered.sum_ns;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        lately.buckets[i] -= d->delivered.buckets[i];
    d->delivered = now;
    return lately;
}

static struct frame *snapshot_frame(struct dashboard *d)
{
    char *text = dashboard_snapshot(&d->view);
    if (!text)
        return NULL;
    const struct sse_event event = {.data = text, .data_len = strlen(text)};
    struct frame *f = frame_create(&event, NO_CHANNEL);
    free(text);
    return f;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct dashboard *d = w->data;
    struct busy_channels *busy = bus_busy_channels(d->view.status->bus);
    if (feed_count(d->clients) == 0) {
        ev_timer_stop(loop, w);
        busy_channels_watch(busy, 0);
        d->view.busy_count = 0;
        return;
    }
    d->view.busy_count = busy_channels_take(busy, d->view.busy);
    busy_channels_watch(busy, sample_every(d));
    d->view.delivered = delivered_lately(d);
    struct frame *f = snapshot_frame(d);
    feed_send(d->clients, f); // without memory the viewers miss one
    frame_release(f);
}

bool dashboard_init(struct dashboard *d, struct client_context *clients, struct status *status,
                    bool show_channels)
{
    *d = (struct dashboard){.clients = clients, .view = {.status = status, .show_channels = show_channels}};
    ev_timer_init(&d->tick, on_tick, DASHBOARD_EVERY_MS / 1000.0, DASHBOARD_EVERY_MS / 1000.0);
    d->tick.data = d;
    return getrandom(d->view.salt, sizeof d->view.salt, 0) == (ssize_t)sizeof d->view.salt;
}

void dashboard_stop(struct dashboard *d)
{
    ev_timer_stop(d->clients->loop, &d->tick);
}

struct page dashboard_page(void *status)
{
    (void)status; // the page is the same everywhere; what it shows comes by the feed
    return (struct page){.status = 200,
                         .content_type = "text/html; charset=utf-8",
                         .fields = dashboard_fields,
                         .body = strdup(dashboard_html)};
}

static void start(struct dashboard *d)
{
    if (ev_is_active(&d->tick))
        return;
    d->messages = messages_received(d);
    (void)delivered_lately(d); // what was delivered while nobody looked
    d->view.delivered = (struct histogram_sum){0};
    busy_channels_watch(bus_busy_channels(d->view.status->bus), FIRST_EVERY);
    ev_timer_set(&d->tick, DASHBOARD_EVERY_MS / 1000.0, DASHBOARD_EVERY_MS / 1000.0);
    ev_timer_start(d->clients->loop, &d->tick);
}

void dashboard_events(struct conn *c, const struct http_request *req, const struct route *r)
{
    (void)r; // the path says it all
    const struct status *s = conn_context(c)->hooks.ctx;
    struct dashboard *d = s->dashboard;
    if (!req->accepts_event_stream) {
        answer_problem(c, req, 406, "This is text/event-stream, which the Accept header excludes.");
        return;
    }
    if (feed_count(d->clients) >= DASHBOARD_VIEWERS_MAX) {
        answer_later(c, req, 503, "As many look at the dashboard as may.");
        return;
    }
    if (req->method == HTTP_GET)
        start(d);
    feed_begin(c, req, req->method == HTTP_GET ? snapshot_frame(d) : NULL);
}
