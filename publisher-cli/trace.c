#include "publisher-cli/trace.h"

#include "common/clock.h"
#include "common/hex.h"
#include "publisher-cli/push.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// A gateway has 63 workers at most.
#define DELIVERIES_MAX 8192u

// Writes `bytes` random bytes as hexadecimal digits, terminated.
static bool random_hex(char *out, size_t bytes)
{
    unsigned char random[16];
    if (bytes > sizeof random || getrandom(random, bytes, 0) != (ssize_t)bytes)
        return false;
    hex_write(out, random, bytes);
    return true;
}

bool trace_begin(struct trace *trace, const struct redis_target *target, struct failure *failure)
{
    char id[33], parent[17], channel[33];
    *trace = (struct trace){.deliveries = calloc(DELIVERIES_MAX, sizeof *trace->deliveries)};
    if (!trace->deliveries)
        return failure_out_of_memory(failure);
    if (!random_hex(id, 16) || !random_hex(parent, 8) || !random_hex(channel, 16))
        return failure_set(failure, "no random numbers for a trace: %s", strerror(errno));
    snprintf(trace->parent, sizeof trace->parent, "00-%s-%s-01", id, parent);
    snprintf(trace->channel, sizeof trace->channel, TRACE_CHANNEL_PREFIX "%s", channel);
    trace->listener =
        push_subscribe(target, trace->channel,
                       "; the ACL of this user must allow it: +subscribe, in a cluster +ssubscribe, "
                       "and &sse:trace:*",
                       failure);
    return trace->listener != NULL;
}

// What stands in a report may have been written by anybody who may publish at its channel.
static bool read_delivery(const char *text, size_t len, struct trace_delivery *out)
{
    json_t *report = json_loadb(text, len, 0, NULL);
    const char *gateway;
    json_int_t worker, workers, streams, read_at_us, duration_us;
    bool ok = report && json_unpack(report, "{s:s, s:I, s:I, s:I, s:I, s:I}", "gateway", &gateway, "worker",
                                    &worker, "workers", &workers, "streams", &streams, "read_at_us",
                                    &read_at_us, "duration_us", &duration_us) == 0;
    ok = ok && worker >= 0 && worker < 64 && workers > 0 && workers < 64 && streams >= 0 && read_at_us >= 0 &&
         duration_us >= 0 && strlen(gateway) < sizeof out->gateway;
    if (ok) {
        *out = (struct trace_delivery){.worker = (unsigned)worker,
                                       .workers = (unsigned)workers,
                                       .streams = (uint64_t)streams,
                                       .read_at_us = read_at_us,
                                       .duration_us = (uint64_t)duration_us};
        for (size_t i = 0; gateway[i]; i++) // it goes to a terminal, or into JSON
            out->gateway[i] =
                gateway[i] > ' ' && gateway[i] <= '~' && !strchr("\"\\", gateway[i]) ? gateway[i] : '?';
    }
    json_decref(report);
    return ok;
}

static void add(struct trace *trace, const struct trace_delivery *d)
{
    unsigned of_gateway = 1;
    for (size_t i = 0; i < trace->count; i++)
        of_gateway += strcmp(trace->deliveries[i].gateway, d->gateway) == 0;
    if (trace->count == DELIVERIES_MAX)
        return;
    trace->deliveries[trace->count++] = *d;
    trace->gateways += of_gateway == d->workers;
}

bool trace_collect(struct trace *trace, uint64_t gateways, uint64_t timeout_ms, struct failure *failure)
{
    uint64_t until = clock_monotonic_ms() + timeout_ms, now;
    while (trace->gateways < gateways && (now = clock_monotonic_ms()) < until) {
        bool is_late;
        struct redisReply *push = connection_reply_within(trace->listener, until - now, &is_late, failure);
        trace->is_cut = push == NULL && !is_late;
        if (trace->is_cut)
            return false;
        const struct redisReply *text = push ? push_text(push) : NULL;
        struct trace_delivery d;
        if (text && read_delivery(text->str, (size_t)text->len, &d))
            add(trace, &d);
        freeReplyObject(push);
    }
    return true;
}

void trace_end(struct trace *trace)
{
    connection_close(trace->listener);
    free(trace->deliveries);
    *trace = (struct trace){0};
}
