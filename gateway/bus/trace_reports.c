#include "gateway/bus/trace_reports.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

static void on_published(void *ctx, const char *error)
{
    struct trace_reports *t = ctx;
    if (!error || strncmp(error, "NOPERM", 6) != 0)
        return; // one that is lost for another reason is not repeated
    if (!t->told_denied)
        log_warn("redis",
                 "cannot report a traced event at " TRACE_CHANNEL_PREFIX
                 "*: %s; sse-publish --trace does not hear "
                 "of this gateway",
                 error);
    t->told_denied = true;
}

void trace_reports_start(struct trace_reports *t)
{
    t->env->published[PUBLISH_TRACE_REPORT] = (struct published_hook){.on_published = on_published, .ctx = t};
}

static bool may_send(struct trace_reports *t)
{
    uint64_t second = clock_monotonic_ms() / 1000;
    if (second != t->second)
        t->sent = 0;
    t->second = second;
    return t->sent++ < TRACE_REPORTS_PER_S;
}

void trace_reports_send(struct trace_reports *t, const struct mail *mail)
{
    const struct channel_mail *m = mail->channel;
    const struct trace_report *r = &m->traced;
    if (!may_send(t)) {
        counter_add(t->env->counters, COUNTER_TRACES_MANY, 1);
        return;
    }
    char channel[TRACE_CHANNEL_LEN + 1];
    memcpy(channel, m->name, TRACE_CHANNEL_LEN);
    channel[TRACE_CHANNEL_LEN] = '\0';
    json_t *report =
        json_pack("{s:s, s:i, s:i, s:I, s:I, s:I}", "gateway", t->gateway_id, "worker", mail->from, "workers",
                  r->workers, "streams", (json_int_t)r->streams, "read_at_us", (json_int_t)r->read_at_us,
                  "duration_us", (json_int_t)r->took_us);
    char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;
    if (text)
        (void)cluster_publish(t->cluster, PUBLISH_TRACE_REPORT, channel, text); // as on_published
    free(text);
    json_decref(report);
}
