#include "gateway/process/dashboard_snapshot.h"

#include <jansson.h>
#include <stdio.h>

#include "common/clock.h"
#include "gateway/auth/hmac.h"
#include "gateway/process/health.h"
#include "gateway/process/metric_values.h"
#include "gateway/process/rebalance.h"

#define CHANNELS_SHOWN 20u
#define DIGEST_BYTES 4u

struct counted {
    const char *name;
    enum counter counter;
};

static const struct counted totals[] = {
    {"opened", COUNTER_STREAMS_OPENED},
    {"messages", COUNTER_MESSAGES_RECEIVED},
    {"message_bytes", COUNTER_MESSAGE_BYTES},
    {"events", COUNTER_DELIVERIES},
    {"sent_bytes", COUNTER_BYTES_SENT},
    {"gaps", COUNTER_GAPS},
    {"dropped_for_slow", COUNTER_SLOW_DROPPED},
    {"redis_connects", COUNTER_REDIS_CONNECTS},
    {"redis_errors", COUNTER_REDIS_ERRORS},
    {"drained", COUNTER_STREAMS_DRAINED},
    {0},
};

static const struct counted gauges[] = {
    {"streams", COUNTER_STREAMS_OPEN},
    {"sockets", COUNTER_SOCKETS_OPEN},
    {"queued_bytes", COUNTER_QUEUED_BYTES},
    {"connection_bytes", COUNTER_CONNECTION_BYTES},
    {"replay_bytes", COUNTER_REPLAY_BYTES},
    {"subscriptions", COUNTER_SUBSCRIPTIONS},
    {"redis_connected", COUNTER_REDIS_CONNECTED},
    {0},
};

static const struct counted refusals[] = {
    {"not_ready", COUNTER_REFUSED_NOT_READY}, {"full", COUNTER_REFUSED_FULL},
    {"user_cap", COUNTER_REFUSED_USER},       {"ip_cap", COUNTER_REFUSED_ADDRESS},
    {"connect_rate", COUNTER_REFUSED_RATE},   {0},
};

static const struct counted drops[] = {
    {"too_large", COUNTER_DROPPED_TOO_LARGE},
    {"not_text", COUNTER_DROPPED_NOT_TEXT},
    {"bad_envelope", COUNTER_DROPPED_ENVELOPE},
    {"not_envelope", COUNTER_DROPPED_PLAIN},
    {"backlog", COUNTER_DROPPED_BACKLOG},
    {"out_of_memory", COUNTER_DROPPED_MEMORY},
    {0},
};

// Each function that makes a part returns NULL when out of memory; json_object_set_new takes that for an error, too.

static bool add_number(json_t *object, const char *name, uint64_t value)
{
    return json_object_set_new(object, name, json_integer((json_int_t)value)) == 0;
}

// Without what the admin listener does, this feed among it.
static json_t *counts(const struct status *s, const struct counted *rows)
{
    json_t *object = json_object();
    bool ok = object != NULL;
    for (; ok && rows->name; rows++)
        ok = add_number(object, rows->name,
                        status_count(s, rows->counter) - counter_read(s->admin, rows->counter));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *closes(const struct status *s)
{
    json_t *object = json_object();
    bool ok = object != NULL;
    for (int i = 0; ok && i < CLOSE_REASON_COUNT; i++)
        ok = add_number(object, close_reason_name((enum close_reason)i),
                        status_closes(s, (enum close_reason)i));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *redis(const struct status *s)
{
    char fault[BUS_FAULT_MAX];
    bus_fault(s->bus, fault);
    return json_pack("{s:b, s:s}", "proven", fault[0] == '\0', "fault", fault);
}

// null while it does not drain.
static json_t *drain(const struct status *s)
{
    if (!atomic_load(&s->draining))
        return json_null();
    uint64_t now = clock_monotonic_ms(), deadline = atomic_load(&s->drain_deadline_ms);
    return json_pack("{s:I, s:I}", "streams", (json_int_t)atomic_load(&s->drain_streams), "ms_left",
                     (json_int_t)(deadline > now ? deadline - now : 0));
}

static double seconds(const struct histogram_sum *sum, double q)
{
    return (double)histogram_quantile_ns(sum, q) / 1e9;
}

// null where nothing was delivered.
static json_t *latency(const struct histogram_sum *sum)
{
    if (sum->count == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "p50", seconds(sum, 0.5), "p95", seconds(sum, 0.95), "p99",
                     seconds(sum, 0.99));
}

static json_t *process(const struct status *s)
{
    char name[STATUS_THREAD_NAME_MAX];
    struct metric_values v = {0};
    const struct counters *thread;
    uint64_t lag = 0, now = clock_monotonic_ns();
    metric_values_read_usage(&v);
    for (size_t i = 0; (thread = status_thread(s, i, name)); i++) {
        uint64_t own = loop_lag_read(&thread->lag, now);
        lag = own > lag ? own : lag;
    }
    return json_pack("{s:I, s:I, s:f}", "resident_bytes", (json_int_t)v.value[VALUE_RESIDENT], "cpu_ms",
                     (json_int_t)(v.value[VALUE_CPU] * 1000), "lag", (double)lag / 1e9);
}

static bool add_tier(struct rebalance *r, json_t *root)
{
    const struct rebalance_figures now = rebalance_figures(r);
    if (!rebalance_add_json(r, root))
        return false;
    json_t *state = json_object_get(root, "rebalance");
    return add_number(state, "target", now.target) && add_number(state, "surplus", now.surplus);
}

static json_t *channel(const struct dashboard_view *v, const struct busy_channel *busy)
{
    unsigned char code[HMAC_MAX];
    char name[2 * DIGEST_BYTES + 1];
    size_t len = 2 * DIGEST_BYTES;
    if (!v->show_channels) {
        if (!hmac_sign(HMAC_SHA256, v->salt, sizeof v->salt, busy->name, busy->len, code))
            return NULL;
        for (size_t i = 0; i < DIGEST_BYTES; i++)
            snprintf(name + 2 * i, 3, "%02x", code[i]);
    }
    return json_pack("{s:s%, s:f, s:f}", "name", v->show_channels ? busy->name : name,
                     v->show_channels ? busy->len : len, "messages", busy->messages, "bytes", busy->bytes);
}

static json_t *channels(const struct dashboard_view *v)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < v->busy_count && i < CHANNELS_SHOWN; i++)
        ok = json_array_append_new(array, channel(v, &v->busy[i])) == 0;
    if (ok)
        return array;
    json_decref(array);
    return NULL;
}

static bool add_parts(const struct dashboard_view *v, json_t *root)
{
    const struct status *s = v->status;
    return json_object_set_new(root, "totals", counts(s, totals)) == 0 &&
           json_object_set_new(root, "gauges", counts(s, gauges)) == 0 &&
           json_object_set_new(root, "refusals", counts(s, refusals)) == 0 &&
           json_object_set_new(root, "drops", counts(s, drops)) == 0 &&
           json_object_set_new(root, "closes", closes(s)) == 0 &&
           json_object_set_new(root, "redis", redis(s)) == 0 &&
           json_object_set_new(root, "drain", drain(s)) == 0 &&
           json_object_set_new(root, "latency", latency(&v->delivered)) == 0 &&
           json_object_set_new(root, "process", process(s)) == 0 &&
           json_object_set_new(root, "channels", channels(v)) == 0 && add_tier(s->rebalance, root);
}

char *dashboard_snapshot(const struct dashboard_view *v)
{
    const struct status *s = v->status;
    const char *outage = health_outage(s);
    bool ready = health_is_ready(s);
    const char *refusal = outage ? outage : ready ? "" : "This gateway is full; another one will serve you.";
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:s, s:b}", "id", s->id, "version", SSE_GATEWAY_VERSION,
                  "uptime_ms", (json_int_t)(clock_monotonic_ms() - s->started_at), "workers",
                  (json_int_t)s->worker_count, "capacity", (json_int_t)s->limits.max_streams, "ready", ready,
                  "refusal", refusal, "channels_by_name", v->show_channels);
    char *text = root && add_parts(v, root) ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    return text;
}
