#include "publisher-cli/report.h"

#include "common/function_library.h"
#include "publisher-cli/shown.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

// Channel names and ids hold nothing that JSON would escape.
static void one_as_json(const char *channel, const struct publisher_totals *totals)
{
    printf("{\"channel\":\"%s\",", channel);
    if (totals->last_id[0])
        printf("\"id\":\"%s\",", totals->last_id);
    printf("\"receivers\":%" PRIu64 "}\n", totals->receivers_max);
}

void report_one(const struct settings *settings, const char *channel, const struct publisher_totals *totals)
{
    uint64_t receivers = totals->receivers_max;

    if (settings->json) {
        one_as_json(channel, totals);
        return;
    }
    printf("%" PRIu64 " gateway%s", receivers, plural(receivers));
    printf(totals->last_id[0] ? ", id %s\n" : "%s\n", totals->last_id);
    if (receivers == 0 && !settings->durable)
        fprintf(stderr,
                "sse-publish: warning: no gateway has a stream of \"%s\" now, so nobody got this event\n",
                channel);
}

static void lines_as_json(const char *channel, const struct publisher_totals *totals)
{
    printf("{\"channel\":\"%s\",\"lines\":%" PRIu64 ",", channel, totals->messages);
    if (totals->last_id[0])
        printf("\"last_id\":\"%s\",", totals->last_id);
    printf("\"receivers_min\":%" PRIu64 ",\"receivers_max\":%" PRIu64 "}\n", totals->receivers_min,
           totals->receivers_max);
}

void report_lines(const struct settings *settings, const char *channel, const struct publisher_totals *totals)
{
    if (settings->json) {
        lines_as_json(channel, totals);
        return;
    }
    printf("%" PRIu64 " line%s, ", totals->messages, plural(totals->messages));
    if (totals->receivers_min != totals->receivers_max)
        printf("%" PRIu64 " to ", totals->receivers_min);
    printf("%" PRIu64 " gateway%s", totals->receivers_max, plural(totals->receivers_max));
    printf(totals->last_id[0] ? ", last id %s\n" : "%s\n", totals->last_id);
    if (totals->messages > 0 && totals->receivers_min == 0 && !settings->durable)
        fprintf(stderr, "sse-publish: warning: no gateway had a stream of \"%s\" for %s of the lines\n",
                channel, totals->receivers_max == 0 ? "any" : "some");
}

static void install_as_json(const char *server, const char *word, long long version)
{
    printf("{\"library\":\"sse\",\"version\":%lld,\"result\":\"%s\"", version, word);
    if (server)
        printf(",\"server\":\"%s\"", server);
    printf("}\n");
}

void report_install(const struct settings *settings, const char *server, enum install_result result,
                    long long version)
{
    static const char *const words[] = {
        [INSTALL_LOADED] = "loaded", [INSTALL_REPLACED] = "replaced", [INSTALL_KEPT] = "kept"};
    long long now = result == INSTALL_KEPT ? version : function_library_version;

    if (settings->json) {
        install_as_json(server, words[result], now);
        return;
    }
    if (server)
        printf("%s: ", server);
    if (result == INSTALL_LOADED)
        printf("library sse, version %lld: loaded\n", now);
    else if (result == INSTALL_REPLACED)
        printf("library sse, version %lld: loaded in place of version %lld\n", now, version);
    else
        printf("library sse, version %lld: was there%s\n", now,
               version > function_library_version ? ", and is newer than this sse-publish" : "");
}

void report_revocation(const struct settings *settings, const char *name, uint64_t until_s,
                       uint64_t receivers)
{
    if (settings->json) {
        printf("{\"%s\":", settings->revoke_subject ? "subject" : "token");
        shown_json(stdout, name, strlen(name));
        printf(",\"until\":%" PRIu64 ",\"receivers\":%" PRIu64 "}\n", until_s, receivers);
        return;
    }
    shown_text(stdout, name, strlen(name));
    printf(": revoked until %" PRIu64 ", %" PRIu64 " gateway%s\n", until_s, receivers, plural(receivers));
}

static double load_of(const struct announcement *a)
{
    return (double)a->connections / (double)a->capacity;
}

// Ids and versions hold nothing that JSON would escape.
static void gateways_as_json(const struct gateways *gateways)
{
    printf("{\"gateways\":[");
    for (size_t i = 0; i < gateways->count; i++) {
        const struct announcement *a = &gateways->items[i];
        printf("%s{\"id\":\"%s\",\"connections\":%" PRIu64 ",\"capacity\":%" PRIu64
               ",\"load\":%.4f,\"draining\":%s,\"ready\":%s,\"rebalancing\":%s,\"version\":\"%s\"}",
               i > 0 ? "," : "", a->id, a->connections, a->capacity, load_of(a),
               a->draining ? "true" : "false", a->ready ? "true" : "false", a->rebalancing ? "true" : "false",
               a->version);
    }
    printf("]}\n");
}

static const char *state_of(const struct announcement *a)
{
    return a->draining                     ? "draining"
           : a->ready                      ? (a->rebalancing ? "ready, rebalancing" : "ready")
           : a->connections >= a->capacity ? "full"
                                           : "not ready";
}

void report_gateways(const struct settings *settings, const struct gateways *gateways)
{
    uint64_t connections = 0, capacity = 0;
    int width = (int)sizeof "GATEWAY" - 1;
    if (settings->json) {
        gateways_as_json(gateways);
        return;
    }
    for (size_t i = 0; i < gateways->count; i++) {
        int len = (int)strlen(gateways->items[i].id);
        width = len > width ? len : width;
        connections += gateways->items[i].connections;
        capacity += gateways->items[i].capacity;
    }
    printf("%-*s %9s %9s %6s  %-18s  VERSION\n", width, "GATEWAY", "STREAMS", "CAPACITY", "LOAD", "STATE");
    for (size_t i = 0; i < gateways->count; i++) {
        const struct announcement *a = &gateways->items[i];
        printf("%-*s %9" PRIu64 " %9" PRIu64 " %5.1f%%  %-18s  %s\n", width, a->id, a->connections,
               a->capacity, 100.0 * load_of(a), state_of(a), a->version);
    }
    printf("%zu gateway%s, %" PRIu64 " of %" PRIu64 " streams\n", gateways->count, plural(gateways->count),
           connections, capacity);
}

// Messages that Redis may have taken must be looked up by a person: sent again, they might be there twice.
void report_failure(const struct settings *settings, const char *reason,
                    const struct publisher_totals *totals)
{
    uint64_t first = totals->unknown_first, last = totals->unknown_last;
    fprintf(stderr, "sse-publish: ");
    if (settings->lines && totals->refused_last > totals->refused)
        fprintf(stderr, "lines %" PRIu64 " to %" PRIu64 ": ", totals->refused, totals->refused_last);
    else if (settings->lines && totals->refused)
        fprintf(stderr, "line %" PRIu64 ": ", totals->refused);
    shown_text(stderr, reason, strlen(reason)); // it may have text of a server
    if (first && !settings->lines)
        fprintf(stderr, "; whether the event was published is not known");
    else if (first && first == last)
        fprintf(stderr, "; whether line %" PRIu64 " was published is not known", first);
    else if (first)
        fprintf(stderr, "; whether lines %" PRIu64 " to %" PRIu64 " were published is not known", first,
                last);
    fprintf(stderr, "\n");
}

void report_confirmed(const struct publisher_totals *totals)
{
    uint64_t before = totals->refused ? totals->refused - 1 : totals->messages;
    fprintf(stderr, "sse-publish: Redis confirmed %" PRIu64 " line%s before that", before, plural(before));
    if (totals->messages > before)
        fprintf(stderr, ", and %" PRIu64 " after it", totals->messages - before);
    fprintf(stderr, "\n");
}

// Gateways of the same machine may be a few microseconds ahead; those of others by what their clocks differ.
static long long read_after_us(const struct trace *trace, const struct trace_delivery *d)
{
    return (long long)(d->read_at_us - trace->sent_at_us);
}

static void trace_as_json(const char *channel, const struct publisher_totals *totals,
                          const struct trace *trace, uint64_t streams)
{
    printf("{\"channel\":\"%s\",\"receivers\":%" PRIu64 ",\"trace_id\":\"%.*s\",\"publish_us\":%" PRIu64
           ",\"gateways\":%zu,\"streams\":%" PRIu64 ",\"deliveries\":[",
           channel, totals->receivers_max, (int)TRACE_ID_LEN, trace->parent + 3, trace->publish_us,
           trace->gateways, streams);
    for (size_t i = 0; i < trace->count; i++) {
        const struct trace_delivery *d = &trace->deliveries[i];
        printf("%s{\"gateway\":", i ? "," : "");
        printf("\"%s\"", d->gateway);
        printf(",\"worker\":%u,\"streams\":%" PRIu64 ",\"read_after_us\":%lld,\"duration_us\":%" PRIu64 "}",
               d->worker, d->streams, read_after_us(trace, d), d->duration_us);
    }
    printf("]}\n");
}

void report_unheard(const char *reason)
{
    fprintf(stderr, "sse-publish: warning: published; the reports were not heard: ");
    shown_text(stderr, reason, strlen(reason));
    fputc('\n', stderr);
}

void report_trace(const struct settings *settings, const char *channel, const struct publisher_totals *totals,
                  const struct trace *trace)
{
    uint64_t streams = 0, receivers = totals->receivers_max;
    int width = 7;
    for (size_t i = 0; i < trace->count; i++) {
        int len = (int)strlen(trace->deliveries[i].gateway);
        streams += trace->deliveries[i].streams;
        width = len > width ? len : width;
    }
    if (settings->json) {
        trace_as_json(channel, totals, trace, streams);
        return;
    }
    printf("published in %" PRIu64 " us to %" PRIu64 " gateway%s, trace %.*s\n", trace->publish_us, receivers,
           plural(receivers), (int)TRACE_ID_LEN, trace->parent + 3);
    if (trace->count > 0)
        printf("%-*s  worker  streams  read after  read to last write\n", width, "gateway");
    for (size_t i = 0; i < trace->count; i++) {
        const struct trace_delivery *d = &trace->deliveries[i];
        printf("%-*s  %6u  %7" PRIu64 "  %7lld us  %15" PRIu64 " us\n", width, d->gateway, d->worker,
               d->streams, read_after_us(trace, d), d->duration_us);
    }
    printf("%zu gateway%s reported, %" PRIu64 " stream%s\n", trace->gateways, plural(trace->gateways),
           streams, plural(streams));
    if (trace->gateways < receivers && !trace->is_cut)
        fprintf(stderr,
                "sse-publish: warning: %" PRIu64 " of %" PRIu64
                " did not report within --trace-timeout: their last stream of the channel has just "
                "ended, older gateways, no right to publish at &sse:trace:*, or subscribers that are no "
                "gateways\n",
                receivers - trace->gateways, receivers);
}
