#include "gateway/process/metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/process/health.h"
#include "gateway/process/rebalance.h"

#define PREFIX "sse_gateway_"

struct row {
    const char *name, *labels, *kind, *help;
};

static const struct row rows[] = {
#define X(symbol, name, labels, kind, help) {name, labels, kind, help},
    COUNTERS(X)
#undef X
};

static bool print_head(struct buf *b, const char *name, const char *kind, const char *help)
{
    return buf_printf(b, "# HELP " PREFIX "%s %s.\n# TYPE " PREFIX "%s %s\n", name, help, name, kind);
}

static bool print_counters(struct buf *b, const struct status *s)
{
    bool ok = true;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct row *r = &rows[i];
        if (i == 0 || strcmp(r->name, rows[i - 1].name) != 0)
            ok = ok && print_head(b, r->name, r->kind, r->help);
        const char *open = r->labels[0] ? "{" : "", *close = r->labels[0] ? "}" : "";
        ok = ok && buf_printf(b, PREFIX "%s%s%s%s %" PRIu64 "\n", r->name, open, r->labels, close,
                              status_count(s, (enum counter)i));
    }
    return ok;
}

static bool print_closes(struct buf *b, const struct status *s)
{
    bool ok = print_head(b, "closes_total", "counter", "Client connections ended, by reason");
    for (int i = 0; i < CLOSE_REASON_COUNT; i++)
        ok =
            ok && buf_printf(b, PREFIX "closes_total{reason=\"%s\"} %" PRIu64 "\n",
                             close_reason_name((enum close_reason)i), status_closes(s, (enum close_reason)i));
    return ok;
}

// A path may hold any byte; in a label a quote, a backslash and a line feed are escaped, and control bytes are
// left out.
static bool print_label(struct buf *b, const char *text)
{
    bool ok = true;
    for (; ok && *text; text++) {
        if (*text == '"' || *text == '\\')
            ok = buf_append(b, "\\", 1);
        if ((unsigned char)*text >= ' ')
            ok = ok && buf_append(b, text, 1);
    }
    return ok;
}

static bool print_certificates(struct buf *b, const struct status *s)
{
    struct tls_certificate c;
    bool ok = !s->tls || print_head(b, "tls_certificate_expiry_timestamp_seconds", "gauge",
                                    "When a certificate expires, in seconds since 1970");
    for (size_t i = 0; ok && s->tls && tls_server_certificate(s->tls, i, &c); i++)
        ok = buf_printf(b, PREFIX "tls_certificate_expiry_timestamp_seconds{file=\"") &&
             print_label(b, c.file) && buf_printf(b, "\"} %" PRId64 "\n", c.expires_at);
    return ok;
}

static bool print_gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
    return print_head(b, name, "gauge", help) && buf_printf(b, PREFIX "%s %" PRIu64 "\n", name, value);
}

// Resident memory, from the second field of /proc/self/statm (proc(5)); 0 where it cannot be read.
static uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    // NOLINTNEXTLINE(cert-err34-c): the kernel wrote these numbers, so none is out of range
    if (fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    (void)fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool print_drain(struct buf *b, const struct status *s)
{
    uint64_t now = clock_monotonic_ms(), deadline = atomic_load(&s->drain_deadline_ms);
    if (!print_gauge(b, "draining", "1 while the gateway drains", atomic_load(&s->draining)))
        return false;
    return !atomic_load(&s->draining) ||
           (print_gauge(b, "drain_streams", "Event streams that were open when the drain began",
                        atomic_load(&s->drain_streams)) &&
            print_gauge(b, "drain_seconds_left", "Seconds until the gateway exits at the latest",
                        deadline > now ? (deadline - now + 999) / 1000 : 0));
}

static bool print_process(struct buf *b, const struct status *s)
{
    return print_gauge(b, "ready", "1 while new streams are let in", health_is_ready(s)) &&
           print_drain(b, s) &&
           print_gauge(b, "capacity", "Event streams that --max-connections allows", s->limits.max_streams) &&
           print_gauge(b, "workers", "Threads that serve clients", s->worker_count) &&
           print_gauge(b, "uptime_seconds", "Seconds since the start",
                       (clock_monotonic_ms() - s->started_at) / 1000) &&
           print_gauge(b, "resident_memory_bytes", "Memory of the process", resident_bytes()) &&
           print_head(b, "log_lines_dropped_total", "counter",
                      "Log lines dropped because standard error was not read in time") &&
           buf_printf(b, PREFIX "log_lines_dropped_total %" PRIu64 "\n", log_dropped()) &&
           print_head(b, "build_info", "gauge", "Version and id of this gateway") &&
           buf_printf(b, PREFIX "build_info{version=\"%s\",id=\"%s\"} 1\n", SSE_GATEWAY_VERSION, s->id);
}

static bool print_tier(struct buf *b, const struct status *s)
{
    if (!s->rebalance)
        return true;
    const struct rebalance_figures now = rebalance_figures(s->rebalance);
    bool ok =
        print_gauge(b, "tier_gateways", "Gateways that were heard lately, this one included", now.gateways) &&
        print_gauge(b, "tier_connections", "Event streams of the gateways that share the load",
                    now.connections) &&
        print_gauge(b, "rebalance_target", "Event streams that are the share of this gateway", now.target) &&
        print_gauge(b, "rebalance_surplus", "Event streams above that", now.surplus) &&
        print_gauge(b, "rebalance_running", "1 while streams are ended for other gateways to get them",
                    now.is_running) &&
        print_head(b, "rebalance_mode", "gauge", "1 for the mode that --rebalance sets");
    for (int i = 0; rebalance_mode_names[i]; i++)
        ok = ok && buf_printf(b, PREFIX "rebalance_mode{mode=\"%s\"} %d\n", rebalance_mode_names[i],
                              (int)s->rebalance->mode == i);
    return ok;
}

static bool print_total(struct buf *b, const char *name, const char *help, uint64_t value)
{
    return print_head(b, name, "counter", help) && buf_printf(b, PREFIX "%s %" PRIu64 "\n", name, value);
}

static bool print_fetches(struct buf *b, const struct jwks_fetch_state *fetch)
{
    // No age is printed before there are keys: 0 would say that they are fresh.
    return (!fetch->has_fetched ||
            print_gauge(b, "jwks_age_seconds", "Seconds since the keys of --jwks were last fetched",
                        fetch->age_s)) &&
           print_total(b, "jwks_fetches_total", "Fetches of --jwks that succeeded", fetch->ok) &&
           print_total(b, "jwks_fetch_failures_total", "Fetches of --jwks that failed", fetch->failed);
}

static bool print_keys(struct buf *b, const struct status *s)
{
    struct authenticator_state keys;
    if (!s->authenticator)
        return true;
    authenticator_look(s->authenticator, &keys);
    return print_gauge(b, "keys", "Keys of tokens in use", keys.keys) &&
           print_gauge(b, "keys_skipped", "Keys of key sets that cannot be used", keys.skipped) &&
           (!keys.fetches || print_fetches(b, &keys.fetch));
}

static bool print_users(struct buf *b, const struct status *s)
{
    return !s->users ||
           print_gauge(b, "users_bytes", "Memory of the table that finds streams by user, token and address",
                       users_bytes(s->users));
}

struct page metrics_prometheus(void *status)
{
    const struct status *s = status;
    struct buf b = {0};
    if (!print_counters(&b, s) || !print_closes(&b, s) || !print_certificates(&b, s) ||
        !print_process(&b, s) || !print_keys(&b, s) || !print_users(&b, s) || !print_tier(&b, s) ||
        !buf_append(&b, "", 1))
        buf_free(&b); // an answer without a body is out of memory to the connection
    return (struct page){
        .status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8", .body = b.data};
}

struct page metrics_balancer(void *status)
{
    const struct status *s = status;
    uint64_t open = status_count(s, COUNTER_STREAMS_OPEN);
    double load = s->limits.max_streams ? (double)open / (double)s->limits.max_streams : 1.0;
    json_t *json = json_pack("{s:s, s:I, s:I, s:b, s:f}", "id", s->id, "connections", (json_int_t)open,
                             "capacity", (json_int_t)s->limits.max_streams, "draining",
                             atomic_load(&s->draining), "load", load > 1.0 ? 1.0 : load);
    bool ok = json && (!s->rebalance || rebalance_add_json(s->rebalance, json));
    char *body = ok ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(4)) : NULL;
    json_decref(json);
    return (struct page){.status = 200, .content_type = "application/json", .body = body};
}
