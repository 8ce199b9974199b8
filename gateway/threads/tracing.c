#include "gateway/threads/tracing.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/pattern.h"

void tracing_note(struct tracing *t, struct counters *counters, struct frame *f, size_t streams)
{
    if (t->count == TRACING_MAX) {
        counter_add(counters, COUNTER_TRACES_MANY, 1);
        frame_release(f);
        return;
    }
    t->noted[t->count].frame = f;
    t->noted[t->count++].streams = streams;
}

static void log_delivery(const struct frame *f, unsigned worker, size_t streams, uint64_t took_us)
{
    char channel[CHANNEL_NAME_MAX + 1];
    snprintf(channel, sizeof channel, "%.*s", (int)f->channel_len, f->channel);
    const struct log_field fields[] = {
        LOG_TEXT("trace_id", f->trace->id), LOG_TEXT("channel", channel),       LOG_NUMBER("worker", worker),
        LOG_NUMBER("streams", streams),     LOG_NUMBER("duration_us", took_us),
    };
    log_fields(LOG_LEVEL_INFO, "trace", "event delivered", fields, sizeof fields / sizeof *fields);
}

// Where there is no memory the report does not come, which its reader bears.
static void report_delivery(const struct frame_trace *trace, struct mailbox *bus, unsigned worker,
                            size_t streams, uint64_t took_us)
{
    struct channel_mail *m = channel_mail_create(channel_ref(trace->reply, TRACE_CHANNEL_LEN));
    if (!m)
        return;
    m->traced = (struct trace_report){
        .streams = streams, .took_us = took_us, .read_at_us = trace->read_at_us, .workers = trace->workers};
    const struct mail mail = {.kind = MAIL_TRACED, .from = (uint16_t)worker, .channel = m};
    if (!mailbox_post(bus, &mail))
        free(m);
}

static bool may_tell(struct tracing *t, uint64_t now_ns)
{
    uint64_t second = now_ns / 1000000000u;
    if (second != t->second)
        t->told = 0;
    t->second = second;
    return t->told++ < t->per_s;
}

void tracing_tell(struct tracing *t, struct counters *counters, struct mailbox *bus, unsigned worker,
                  uint64_t written_ns)
{
    for (size_t i = 0; i < t->count; i++) {
        struct frame *f = t->noted[i].frame;
        uint64_t took_us = (written_ns - f->read_at_ns) / 1000;
        bool tells = f->trace->is_logged || f->trace->reply[0];
        if (tells && !may_tell(t, written_ns)) {
            counter_add(counters, COUNTER_TRACES_MANY, 1);
            tells = false;
        }
        if (tells && f->trace->is_logged)
            log_delivery(f, worker, t->noted[i].streams, took_us);
        if (tells && f->trace->reply[0])
            report_delivery(f->trace, bus, worker, t->noted[i].streams, took_us);
        frame_release(f);
    }
    t->count = 0;
}
