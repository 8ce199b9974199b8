#include "gateway/process/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "gateway/process/metric_values.h"
#include "gateway/process/rebalance.h"

enum each {
#define SKIP(...)
#define SYMBOL(symbol, ...) EACH_##symbol,
    METRICS(SKIP, SKIP, SKIP, SKIP, SKIP, SKIP, SYMBOL)
#undef SYMBOL
        EACH_COUNT
};

enum metric_source { FROM_FAMILY, FROM_ROW, FROM_SUM, FROM_TIMES, FROM_VALUE, FROM_EACH };
enum metric_type { COUNTER, GAUGE, HISTOGRAM, INFO };

struct metric {
    enum metric_source source;
    unsigned which; // of the counters, histograms, values or EACH
    const char *name;
    enum metric_type type;
    const char *unit, *label; // ROW: the value of the family's label
    const char *help;
};

// clang-format off
static const struct metric metrics[] = {
#define FAMILY(name, type, unit, label, help)       {FROM_FAMILY, 0, name, type, unit, label, help},
#define ROW(symbol, value, help)                    {FROM_ROW, COUNTER_##symbol, NULL, COUNTER, "", value, help},
#define SUM(symbol, name, type, unit, help)         {FROM_SUM, COUNTER_##symbol, name, type, unit, "", help},
#define TIMES(symbol, name, type, unit, help)       {FROM_TIMES, HISTOGRAM_##symbol, name, type, unit, "", help},
#define VALUE(symbol, name, type, unit, help)       {FROM_VALUE, VALUE_##symbol, name, type, unit, "", help},
#define EACH(symbol, name, type, unit, label, help) {FROM_EACH, EACH_##symbol, name, type, unit, label, help},
    METRICS(SKIP, FAMILY, ROW, SUM, TIMES, VALUE, EACH)
};
// clang-format on
#define METRIC_COUNT (sizeof metrics / sizeof *metrics)

// A page that is being written. Each function returns false when out of memory.
struct writer {
    struct buf b;
    bool is_openmetrics;
    const struct metric *family; // whose samples come now
    bool has_head;
};

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static bool is_metric(const char *name, size_t len)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (metrics[i].name && strlen(metrics[i].name) == len && memcmp(metrics[i].name, name, len) == 0)
            return true;
    return false;
}

struct family_name {
    size_t len; // of the metric's name
    const char *type;
};

// OpenMetrics 1.0: the name of a family has no _total or _info. Where the rest is the name of another family, which
// must not be, the counter is of no type that is known to OpenMetrics, and keeps its name.
static struct family_name family_of(const struct metric *m, bool is_openmetrics)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "info"};
    static const char *const ends[] = {"_total", "", "", "_info"};
    struct family_name f = {strlen(m->name), m->type == INFO ? "gauge" : types[m->type]};
    if (!is_openmetrics || ends[m->type][0] == '\0')
        return f;
    assert(ends_with(m->name, f.len, ends[m->type]));
    size_t len = f.len - strlen(ends[m->type]);
    if (is_metric(m->name, len))
        return (struct family_name){f.len, "unknown"};
    return (struct family_name){len, types[m->type]};
}

static bool put_head(struct writer *w)
{
    const struct metric *m = w->family;
    struct family_name f = family_of(m, w->is_openmetrics);
    int len = (int)f.len;
    char end[16];
    snprintf(end, sizeof end, "_%s", m->unit);
    bool has_unit = w->is_openmetrics && m->unit[0] && ends_with(m->name, f.len, end);
    w->has_head = true;
    return buf_printf(&w->b, "# HELP %.*s %s.\n# TYPE %.*s %s\n", len, m->name, m->help, len, m->name,
                      f.type) &&
           (!has_unit || buf_printf(&w->b, "# UNIT %.*s %s\n", len, m->name, m->unit));
}

// The beginning of a sample. The first one of a metric brings its head: a metric without any has none.
static bool put_name(struct writer *w, const char *suffix)
{
    return (w->has_head || put_head(w)) && buf_printf(&w->b, "%s%s", w->family->name, suffix);
}

// A path may hold any byte; in a label a quote, a backslash and a line feed are escaped, and control bytes are
// left out.
static bool put_label_value(struct writer *w, const char *text)
{
    bool ok = true;
    for (; ok && *text; text++) {
        if (*text == '"' || *text == '\\')
            ok = buf_append(&w->b, "\\", 1);
        if ((unsigned char)*text >= ' ')
            ok = ok && buf_append(&w->b, text, 1);
    }
    return ok;
}

static bool put_labelled(struct writer *w, const char *label, const char *value, double number)
{
    return put_name(w, "") && buf_printf(&w->b, "{%s=\"", label) && put_label_value(w, value) &&
           buf_printf(&w->b, "\"} %.15g\n", number);
}

static bool put_build(struct writer *w, const struct status *s)
{
    return put_name(w, "") && buf_printf(&w->b, "{version=\"%s\",id=\"", SSE_GATEWAY_VERSION) &&
           put_label_value(w, s->id) && buf_printf(&w->b, "\"} 1\n");
}

static bool put_closes(struct writer *w, const struct status *s)
{
    bool ok = true;
    for (int i = 0; ok && i < CLOSE_REASON_COUNT; i++)
        ok = put_labelled(w, w->family->label, close_reason_name((enum close_reason)i),
                          (double)status_closes(s, (enum close_reason)i));
    return ok;
}

static bool put_certificates(struct writer *w, const struct status *s)
{
    struct tls_certificate c;
    bool ok = true;
    for (size_t i = 0; ok && s->tls && tls_server_certificate(s->tls, i, &c); i++)
        ok = put_labelled(w, w->family->label, c.file, (double)c.expires_at);
    return ok;
}

static bool put_rebalance_modes(struct writer *w, const struct status *s)
{
    bool ok = true;
    for (int i = 0; ok && s->rebalance && rebalance_mode_names[i]; i++)
        ok = put_labelled(w, w->family->label, rebalance_mode_names[i], (int)s->rebalance->mode == i);
    return ok;
}

static bool put_loop_lags(struct writer *w, const struct status *s)
{
    char name[STATUS_THREAD_NAME_MAX];
    uint64_t now = clock_monotonic_ns();
    const struct counters *c;
    bool ok = true;
    for (size_t i = 0; ok && (c = status_thread(s, i, name)); i++)
        ok = put_labelled(w, w->family->label, name, (double)loop_lag_read(&c->lag, now) / 1e9);
    return ok;
}

static bool put_each(struct writer *w, const struct status *s, enum each which)
{
    static bool (*const put[])(struct writer * w, const struct status *s) = {
        [EACH_BUILD] = put_build,
        [EACH_CLOSES] = put_closes,
        [EACH_LOOP_LAG] = put_loop_lags,
        [EACH_CERTIFICATES] = put_certificates,
        [EACH_REBALANCE_MODE] = put_rebalance_modes,
    };
    static_assert(sizeof put / sizeof *put == EACH_COUNT, "each of them has a function");
    return put[which](w, s);
}

static bool put_histogram(struct writer *w, const struct histogram_sum *h)
{
    uint64_t below = 0;
    bool ok = true;
    for (unsigned i = 0; ok && i < HISTOGRAM_BUCKETS; i++) {
        below += h->buckets[i];
        ok = put_name(w, "_bucket") &&
             buf_printf(&w->b, "{le=\"%s\"} %" PRIu64 "\n", histogram_bounds[i].text, below);
    }
    return ok && put_name(w, "_sum") && buf_printf(&w->b, " %.15g\n", (double)h->sum_ns / 1e9) &&
           put_name(w, "_count") && buf_printf(&w->b, " %" PRIu64 "\n", h->count);
}

static bool put_metric(struct writer *w, const struct status *s, const struct metric_values *v,
                       const struct metric *m)
{
    if (m->source != FROM_ROW) {
        w->family = m;
        w->has_head = false;
    }
    struct histogram_sum times;
    switch (m->source) {
    case FROM_FAMILY:
        return true;
    case FROM_ROW:
        return put_name(w, "") && buf_printf(&w->b, "{%s=\"%s\"} %" PRIu64 "\n", w->family->label, m->label,
                                             status_count(s, (enum counter)m->which));
    case FROM_SUM:
        return put_name(w, "") &&
               buf_printf(&w->b, " %" PRIu64 "\n", status_count(s, (enum counter)m->which));
    case FROM_TIMES:
        status_times(s, (enum histogram_of)m->which, &times);
        return put_histogram(w, &times);
    case FROM_VALUE:
        return !v->is_there[m->which] ||
               (put_name(w, "") && buf_printf(&w->b, " %.15g\n", v->value[m->which]));
    case FROM_EACH:
        return put_each(w, s, (enum each)m->which);
    }
    return false;
}

static struct page metrics_page(const struct status *s, bool is_openmetrics)
{
    struct writer w = {.is_openmetrics = is_openmetrics, .family = metrics};
    struct metric_values values;
    metric_values_read(&values, s);
    bool ok = true;
    assert(metrics[0].source != FROM_ROW); // it would have no family
    for (size_t i = 0; ok && i < METRIC_COUNT; i++)
        ok = put_metric(&w, s, &values, &metrics[i]);
    if (!ok || (is_openmetrics && !buf_printf(&w.b, "# EOF\n")) || !buf_append(&w.b, "", 1))
        buf_free(&w.b); // an answer without a body is out of memory to the connection
    return (struct page){.status = 200,
                         .content_type = is_openmetrics
                                             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                             : "text/plain; version=0.0.4; charset=utf-8",
                         .body = w.b.data};
}

struct page metrics_prometheus(void *status)
{
    return metrics_page(status, false);
}

struct page metrics_openmetrics(void *status)
{
    return metrics_page(status, true);
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
