#include "gateway/client/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "gateway/auth/principal.h"
#include "gateway/client/answer.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/slow_client.h"
#include "gateway/fanout/cursor.h"
#include "gateway/fanout/hub_cursor.h"
#include "gateway/fanout/hub_end.h"
#include "gateway/fanout/resume.h"

// Redis answers SUBSCRIBE within a round trip; a stream that still waits after this is refused and comes
// back.
#define CONFIRM_TIMEOUT_MS 5000u
#define RETRY_LINE_MAX 64
// A client whose token has expired comes back at once, most likely with a new one, and misses little. So does one
// whose stream is too old: the ages are spread already.
#define QUICK_RETRY_MS 500u
// A stream ends at --max-stream-age, this part of it more or less.
#define AGE_SPREAD 10u
// A page whose stream was replaced comes back this many times later than others: it replaces another one then,
// unless it has heard `gateway:close` and given up.
#define REPLACED_RETRIES 30u

static_assert(STREAM_CHANNELS_MAX <= HUB_CHANNELS_MAX, "the hub takes what a request may name");

static bool join_hub(struct conn *c, const struct stream_request *want)
{
    struct hub_name *names = calloc(want->channel_count, sizeof *names);
    if (!names)
        return false;
    for (size_t i = 0; i < want->channel_count; i++)
        names[i] = (struct hub_name){.channel = channel_ref(want->channels[i].name, want->channels[i].len)};
    resume_from(want->last_event_id, names, want->channel_count);
    for (size_t i = 0; i < want->channel_count; i++)
        names[i].to_the_tail = want->once && want->wait_s == 0;
    bool joined = hub_join(conn_context(c)->hub, &c->subscriber, names, want->channel_count);
    free(names);
    return joined;
}

bool stream_join(struct conn *c, const struct http_request *req, const struct stream_request *want)
{
    char *origin = NULL;
    if (req->origin.at && !(origin = strndup(req->origin.at, req->origin.len)))
        return false;
    conn_set_state(c, CONN_WAITING);
    conn_leave_streamless(c);
    c->origin = origin;
    c->control = want->control;
    if (conn_context(c)->accounts)
        conn_account(c)->resumed = want->last_event_id[0] && strcmp(want->last_event_id, "earliest") != 0;
    c->source = want->source;
    c->once = want->once;
    c->wait_s = want->wait_s;
    c->body_only = req->http_1_0;
    if (!join_hub(c, want))
        return false;
    if (hub_is_ready(&c->subscriber))
        stream_open(c);
    else
        conn_set_deadline(c, CONFIRM_TIMEOUT_MS);
    return true;
}

// The fields of the request that its answer needs; the request itself has been freed.
static struct http_request stream_asked(const struct conn *c)
{
    struct http_request req = {.method = HTTP_GET, .http_1_0 = c->body_only};
    if (c->origin)
        req.origin = (struct http_text){.at = c->origin, .len = strlen(c->origin)};
    return req;
}

void stream_refuse(struct conn *c, const char *why)
{
    struct http_request req = stream_asked(c);
    answer_refusal(c, &req, why);
}

// gateway:open: {"gateway":"gw-1","channels":{"news":"fresh"}}.
static struct frame *stream_open_event(const struct conn *c, const char *id, size_t id_len)
{
    static const char *const standing[] = {
        [HUB_FRESH] = "fresh", [HUB_RESUMED] = "resumed", [HUB_GAP] = "gap"};
    json_t *channels = json_object();
    for (uint32_t i = 0; i < c->subscriber.count; i++) {
        struct channel_ref channel = hub_channel_name(&c->subscriber, i);
        char key[CHANNEL_NAME_MAX + 1];
        memcpy(key, channel.name, channel.len);
        key[channel.len] = '\0';
        if (json_object_set_new(channels, key, json_string(standing[hub_standing(&c->subscriber, i)])) != 0)
            break; // out of memory: jansson frees what it was given
    }
    json_t *open = json_pack("{s:s, s:o}", "gateway", conn_context(c)->settings->policy.gateway_id,
                             "channels", channels);
    char *text = open ? json_dumps(open, JSON_COMPACT) : NULL;
    json_decref(open);
    if (!text)
        return NULL;
    struct sse_event event = {.event = "gateway:open",
                              .event_len = 12,
                              .id = id_len ? id : NULL,
                              .id_len = id_len,
                              .data = text,
                              .data_len = strlen(text)};
    struct frame *f = frame_create(&event, NO_CHANNEL);
    free(text);
    return f;
}

// A stream with &control=1 begins with gateway:open; so does one that begins in a channel with history, since
// a client without any event id would begin anew after a loss. A block with an id alone is not enough: many
// clients keep an id only with an event that has data. Channels that have no history yet, and that --durable
// does not name, are most likely plain: their streams get no id before their first event. A stream that is read
// once always begins with it: where no event comes the client asks the next time from there on.
static void stream_send_beginning(struct conn *c)
{
    char id[CURSOR_MAX];
    bool even_empty = c->control || conn_context(c)->settings->durable_named;
    bool is_new = hub_is_new_to_history(&c->subscriber, even_empty);
    size_t id_len = is_new || c->once ? hub_cursor(&c->subscriber, id) : 0;
    if (c->control || id_len)
        conn_send(c, stream_open_event(c, id, id_len));
}

// The answer's head and the stream's first line in one piece: so they leave in one send().
static struct frame *stream_head(const struct conn *c, const struct http_request *req)
{
    struct client_context *cx = conn_context(c);
    size_t len = http_stream_head(&cx->policy, req, cx->scratch, SCRATCH_SIZE - RETRY_LINE_MAX);
    if (len == 0)
        return NULL;
    char line[RETRY_LINE_MAX];
    uint64_t spread = jitter_next(&cx->random) % ((uint64_t)cx->settings->retry_jitter_ms + 1);
    int line_len = snprintf(line, sizeof line, "retry: %u\n", cx->settings->retry_ms + (uint32_t)spread);
    int n = c->body_only
                ? snprintf(cx->scratch + len, RETRY_LINE_MAX, "%s", line)
                : snprintf(cx->scratch + len, RETRY_LINE_MAX, "%x\r\n%s\r\n", (unsigned)line_len, line);
    return frame_from_bytes(cx->scratch, len + (size_t)n, false);
}

uint64_t stream_age_ms(const struct conn *c)
{
    const struct client_context *cx = conn_context(c);
    assert(c->state == CONN_STREAM);
    return (uint64_t)(wheel_ticks(&cx->wheel, cx->now_ms) - c->opened_tick) * WHEEL_TICK_MS;
}

// Milliseconds until the stream is too old. Its age limit follows from its serial: no stream has to remember it.
static uint64_t stream_may_last_ms(const struct conn *c)
{
    const struct client_context *cx = conn_context(c);
    uint64_t max = cx->settings->max_stream_age_ms, age = stream_age_ms(c);
    if (max == 0)
        return UINT64_MAX;
    uint64_t state = cx->age_seed ^ c->serial * 0x9e3779b97f4a7c15ull;
    uint64_t limit = max - max / AGE_SPREAD + jitter_next(&state) % (2 * (max / AGE_SPREAD) + 1);
    return limit > age ? limit - age : 0;
}

// Milliseconds for which a stream that is read once still waits for events.
static uint64_t stream_may_wait_ms(const struct conn *c)
{
    uint64_t max = c->wait_s * UINT64_C(1000), age = stream_age_ms(c);
    if (max == 0)
        return UINT64_MAX;
    return max > age ? max - age : 0;
}

// The next heartbeat, or the end of the token, of the stream or of its wait where that comes first.
static void stream_set_deadline(struct conn *c, uint64_t now_ms, uint32_t heartbeat_in_ms)
{
    const uint64_t ends[] = {principal_lasts_ms(c->principal, now_ms), stream_may_last_ms(c),
                             stream_may_wait_ms(c)};
    uint64_t first = heartbeat_in_ms;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        first = ends[i] < first ? ends[i] : first;
    wheel_set(&conn_context(c)->wheel, &c->deadline, now_ms + first);
}

static void count_resumes(const struct conn *c)
{
    static const enum counter results[] = {[HUB_FRESH] = COUNTER_RESUMES_FRESH,
                                           [HUB_RESUMED] = COUNTER_RESUMES_RESUMED,
                                           [HUB_GAP] = COUNTER_RESUMES_GAP};
    for (uint32_t i = 0; i < c->subscriber.count; i++)
        counter_add(conn_context(c)->counters, results[hub_standing(&c->subscriber, i)], 1);
}

void stream_open(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    struct http_request req = stream_asked(c);
    if (hub_end_is_reached(&c->subscriber)) {
        answer_ended(c, &req);
        return;
    }
    struct frame *head = stream_head(c, &req); // before `origin` is freed with the state
    conn_set_state(c, CONN_STREAM);
    c->is_stream = true;
    c->opened_tick = wheel_ticks(&cx->wheel, cx->now_ms);
    counter_add(cx->counters, COUNTER_STREAMS_OPEN, 1);
    counter_add(cx->counters, COUNTER_STREAMS_OPENED, 1);
    count_resumes(c);
    conn_send(c, head);
    stream_send_beginning(c);
    if (c->state != CONN_STREAM)
        return;
    uint64_t now_ms = clock_monotonic_ms();
    principal_admit(c->principal, (int64_t)time(NULL), now_ms);
    stream_set_deadline(c, now_ms, cx->settings->heartbeat_ms);
    hub_end_tell_opened(cx->hub, &c->subscriber);
    hub_wake(cx->hub, &c->subscriber);
}

static struct frame *stream_close_event(enum close_reason reason)
{
    char data[64];
    int len = snprintf(data, sizeof data, "{\"reason\":\"%s\"}", close_reason_name(reason));
    struct sse_event event = {
        .event = "gateway:close", .event_len = 13, .data = data, .data_len = (size_t)len};
    return frame_create(&event, NO_CHANNEL);
}

void stream_end(struct conn *c, enum close_reason reason)
{
    struct client_context *cx = conn_context(c);
    if (c->state != CONN_STREAM)
        return;
    if (c->control)
        conn_send(c, stream_close_event(reason));
    // Jitter, or all browsers come back in the same instant. The blank line: undici heeds no
    // `retry` without it.
    char retry[RETRY_LINE_MAX];
    uint32_t wait = cx->settings->retry_ms;
    if ((reason == CLOSE_EXPIRED || reason == CLOSE_AGE) && wait > QUICK_RETRY_MS)
        wait = QUICK_RETRY_MS;
    uint64_t ms = jitter_ms(&cx->random, wait);
    if (reason == CLOSE_REPLACED)
        ms *= REPLACED_RETRIES;
    int len = snprintf(retry, sizeof retry, "retry: %" PRIu64 "\n\n", ms);
    conn_send(c, frame_from_bytes(retry, (size_t)len, true));
    if (!c->body_only)
        conn_send(c, frame_from_bytes("0\r\n\r\n", 5, false));
    // The connection stays in the hub until it is freed: this may be called during a fan-out.
    conn_finish(c, reason);
}

// The id of a durable event is made for streams of its channel alone; the id of any other event must not
// replace the cursor that the client has to bring back.
static bool needs_own_id(const struct conn *c, const struct frame *f)
{
    return f->durable ? c->subscriber.count > 1 : f->id_line_len > 0 && hub_is_durable(&c->subscriber);
}

static bool wants_source(const struct conn *c, const struct frame *f)
{
    return c->source && f->channel_len > 0;
}

static struct frame *with_own_id(const struct conn *c, struct frame *f)
{
    char id[CURSOR_MAX];
    size_t len = hub_cursor(&c->subscriber, id);
    if (wants_source(c, f))
        return frame_with_source(f, len ? id : NULL, len);
    return len ? frame_with_id(f, id, len) : frame_retain(f);
}

// What all streams get of `f` that want its source and need no id of their own: so it is made once. It holds `f`, whose
// address no other frame can have meanwhile. Borrowed; NULL when out of memory.
static struct frame *with_source(struct client_context *cx, struct frame *f)
{
    if (!cx->sourced || cx->sourced->rest != f) {
        frame_release(cx->sourced);
        cx->sourced = frame_with_source(f, NULL, 0);
    }
    return cx->sourced;
}

void stream_deliver(struct conn *c, struct frame *f)
{
    if (c->state != CONN_STREAM)
        return;
    struct client_context *cx = conn_context(c);
    counter_add(cx->counters, COUNTER_DELIVERIES, 1);
    if (f->is_gap && f->durable)
        counter_add(cx->counters, COUNTER_GAPS, 1);
    if (c->once && !f->is_end) // an end is told at each opening: it is nothing new
        c->has_event = true;
    struct frame *shared = wants_source(c, f) && !needs_own_id(c, f) ? with_source(cx, f) : f;
    if (needs_own_id(c, f))
        conn_send(c, with_own_id(c, f));
    else if (cx->coalesce || c->once || !shared || f->is_end) // the stream's last bytes most likely follow
        conn_send(c, shared ? frame_retain(shared) : NULL);
    else
        conn_send_now(c, shared);
    if (c->blocked && slow_client_check(c))
        stream_end(c, CLOSE_SLOW);
    else if (f->is_end && hub_end_is_told(&c->subscriber))
        stream_end(c, CLOSE_ENDED);
    else if (c->blocked && c->once && c->state == CONN_STREAM)
        conn_mark(c);
}

void stream_end_once(struct conn *c)
{
    if (c->state == CONN_STREAM && (c->wait_s == 0 || c->has_event) && hub_has_caught_up(&c->subscriber))
        stream_end(c, CLOSE_READ);
}

// A stream that is read once and does not wait has something to send all the time, unless Redis does not answer.
static bool is_read_without_wait(const struct conn *c)
{
    return c->once && c->wait_s == 0;
}

// Nothing was sent for so long as it may be. A heartbeat; a read ends, as one does whose channels are not confirmed: its
// client comes back with the cursor.
static void stream_silent(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    if (is_read_without_wait(c)) {
        stream_end(c, CLOSE_REFUSED);
        return;
    }
    counter_add(cx->counters, COUNTER_HEARTBEATS, 1);
    conn_send_now(c, cx->heartbeat);
}

void stream_heartbeat(struct conn *c)
{
    struct client_context *cx = conn_context(c);
    uint32_t idle = (uint32_t)cx->now_ms - c->deadline.owner;
    uint32_t every = cx->settings->heartbeat_ms;
    if (is_read_without_wait(c) && every < CONFIRM_TIMEOUT_MS)
        every = CONFIRM_TIMEOUT_MS;
    if (principal_lasts_ms(c->principal, cx->now_ms) == 0) {
        stream_end(c, CLOSE_EXPIRED);
        return;
    }
    if (stream_may_last_ms(c) == 0) {
        stream_end(c, CLOSE_AGE);
        return;
    }
    if (stream_may_wait_ms(c) == 0) {
        stream_end(c, CLOSE_READ);
        return;
    }
    // Queued bytes that still wait do the work of a heartbeat.
    if (c->queue) {
        slow_client_check_progress(c);
        idle = 0;
    } else if (idle >= every) {
        stream_silent(c);
        idle = 0;
    }
    if (c->state == CONN_STREAM)
        stream_set_deadline(c, cx->now_ms, idle < every ? every - idle : every);
}
