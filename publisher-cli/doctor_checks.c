#include "publisher-cli/doctor_checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FIRST_MAX_MS 1000   // from the head to the first bytes, which leave the gateway with it
#define EVENT_MAX_MS 1000   // from Redis to here
#define HEARTBEATS_MS 31000 // in so long, two heartbeats of the gateway's default must have come
#define CERTIFICATE_MIN_DAYS 21
#define OK(check, ...) doctor_say(report, check, VERDICT_OK, __VA_ARGS__)
#define NOTE(check, ...) doctor_say(report, check, VERDICT_NOTE, __VA_ARGS__)
#define FINDING(check, ...) doctor_say(report, check, VERDICT_FINDING, __VA_ARGS__)
#define NOT_TRIED(check, ...) doctor_say(report, check, VERDICT_NOT_TRIED, __VA_ARGS__)

// A field's value, or "".
static const char *field(const struct doctor_stream *stream, const char *name)
{
    const char *value = http_answer_field(&stream->answer, name, 0);
    return value ? value : "";
}

static void find_front(struct doctor_report *report, const struct doctor_stream *stream)
{
    static const struct {
        const char *begin;
        enum doctor_front front;
    } servers[] = {{"nginx", FRONT_NGINX}, {"openresty", FRONT_NGINX}, {"haproxy", FRONT_HAPROXY},
                   {"caddy", FRONT_CADDY}, {"awselb", FRONT_ALB},      {"cloudflare", FRONT_CLOUDFLARE}};
    snprintf(report->server, sizeof report->server, "%s", field(stream, "server"));
    report->front = FRONT_COUNT;
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        if (strncasecmp(report->server, servers[i].begin, strlen(servers[i].begin)) == 0)
            report->front = servers[i].front;
    }
}

static void check_certificate(struct doctor_report *report, const struct doctor_stream *stream)
{
    int64_t end = http_answer_certificate_end(&stream->answer);
    int64_t days = (end - (int64_t)time(NULL)) / 86400;
    if (end == 0)
        NOT_TRIED(CHECK_CERTIFICATE, "the URL is not one of https");
    else if (days < CERTIFICATE_MIN_DAYS)
        FINDING(CHECK_CERTIFICATE, "it ends in %" PRId64 " day%s", days, days == 1 ? "" : "s");
    else
        OK(CHECK_CERTIFICATE, "it is trusted, and ends in %" PRId64 " days", days);
}

static void check_version(struct doctor_report *report, const struct doctor_stream *stream)
{
    if (stream->answer.is_h2)
        OK(CHECK_HTTP_VERSION, "HTTP/2: some hundred streams share one connection of a browser");
    else
        NOTE(CHECK_HTTP_VERSION,
             "HTTP/1.1: a browser opens six connections to a host, all its tabs together, so the "
             "seventh stream waits for ever; end TLS and HTTP/2 in the proxy");
}

static void check_compression(struct doctor_report *report, const struct doctor_stream *stream)
{
    if (stream->is_encoded)
        FINDING(CHECK_COMPRESSION,
                "asked with Accept-Encoding: gzip, br, it answered Content-Encoding: %.40s",
                field(stream, "content-encoding"));
    else
        OK(CHECK_COMPRESSION, "asked with Accept-Encoding: gzip, br, the stream comes as it is");
}

static bool is_from_cache(const struct doctor_stream *stream)
{
    static const char *const names[] = {"x-cache", "x-cache-status", "cf-cache-status"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncasecmp(field(stream, names[i]), "hit", 3) == 0)
            return true;
    }
    return *field(stream, "age") != '\0';
}

static void check_caching(struct doctor_report *report, const struct doctor_stream *stream)
{
    const char *control = field(stream, "cache-control");
    if (is_from_cache(stream))
        FINDING(CHECK_CACHING, "the answer came from a cache (Age: %.20s, X-Cache: %.40s)",
                field(stream, "age"), field(stream, "x-cache"));
    else if (!strcasestr(control, "no-store"))
        FINDING(CHECK_CACHING,
                "the gateway says Cache-Control: no-store, no-transform; what came is \"%.80s\"", control);
    else if (!strcasestr(control, "no-transform"))
        FINDING(CHECK_CACHING,
                "no-transform is lost from Cache-Control, which keeps proxies from compressing; what came is "
                "\"%.80s\"",
                control);
    else
        OK(CHECK_CACHING, "Cache-Control: %.80s", control);
}

static void check_type(struct doctor_report *report, const struct doctor_stream *stream)
{
    if (stream->is_event_stream)
        OK(CHECK_CONTENT_TYPE, "%.80s", field(stream, "content-type"));
    else
        FINDING(CHECK_CONTENT_TYPE, "200, but the type is \"%.80s\"", field(stream, "content-type"));
}

// No head at all. libcurl says which address it could not reach, or what is wrong with the certificate.
static void check_failure(struct doctor_report *report, const struct doctor_stream *stream)
{
    const struct http_answer *answer = &stream->answer;
    if (answer->is_untrusted) {
        FINDING(CHECK_CERTIFICATE, "%.200s (--cacert names a CA of your own)", answer->error);
        NOT_TRIED(CHECK_REACHABLE, "the certificate is not trusted");
    } else if (answer->is_late) {
        NOTE(CHECK_REACHABLE, "connected; %.200s to GET", answer->error);
    } else {
        FINDING(CHECK_REACHABLE, "%.300s", answer->error);
    }
}

// An answer that is no stream.
static void check_status(struct doctor_report *report, const struct doctor_stream *stream, bool of_gateway)
{
    int status = stream->answer.status;
    const char *from = of_gateway ? "from the gateway" : "not from a gateway but from what stands before it";
    const char *location = field(stream, "location");
    if (http_is_redirect(status))
        FINDING(CHECK_REDIRECT, "%d to %.*s; try that URL", status, http_url_shown(location), location);
    else if (status == 429 || status >= 500)
        FINDING(CHECK_ERRORS, "%d, %s", status, from);
    else if (!of_gateway)
        FINDING(CHECK_GATEWAY, "%d, %s", status, from);
}

bool doctor_check_answer(struct doctor_report *report, const struct doctor_stream *stream)
{
    const struct http_answer *answer = &stream->answer;
    const char *gateway = field(stream, "x-sse-gateway");
    find_front(report, stream);
    if (answer->status == 0) {
        check_failure(report, stream);
        return false;
    }
    OK(CHECK_REACHABLE, "%d after %" PRIu64 " ms", answer->status, answer->head_after_ms);
    check_certificate(report, stream);
    check_version(report, stream);
    if (*gateway)
        OK(CHECK_GATEWAY, "%.80s answers", gateway);
    if (answer->status != 200) {
        check_status(report, stream, *gateway != '\0');
        return false;
    }
    OK(CHECK_REDIRECT, "none");
    check_type(report, stream);
    if (!*gateway && stream->is_event_stream && answer->end == HTTP_COMPLETE) {
        FINDING(CHECK_GATEWAY,
                "no gateway answers; what stands before them says \"come back\" in their place");
        OK(CHECK_ERRORS, "with no gateway there, it answers 200 with retry: clients come back by themselves");
        return false;
    }
    if (!*gateway)
        FINDING(CHECK_GATEWAY, "the answer has no field X-SSE-Gateway");
    check_compression(report, stream);
    check_caching(report, stream);
    NOT_TRIED(CHECK_ERRORS,
              "a gateway answered; run this once more while all gateways are stopped, or drain");
    return stream->is_event_stream;
}

void doctor_check_cors(struct doctor_report *report, const char *origin, const struct doctor_stream *stream,
                       const struct doctor_stream *options)
{
    static const char name[] = "access-control-allow-origin";
    const char *allowed = field(stream, name);
    if (!origin) {
        NOT_TRIED(CHECK_CORS, "--origin names the origin of a page");
        return;
    }
    if (http_answer_field(&stream->answer, name, 1))
        FINDING(CHECK_CORS, "Access-Control-Allow-Origin is there twice");
    else if (strcmp(allowed, origin) != 0 && strcmp(allowed, "*") != 0)
        FINDING(CHECK_CORS, "for %.100s, Access-Control-Allow-Origin is \"%.100s\"", origin, allowed);
    else if (strcmp(field(options, name), origin) != 0 && strcmp(field(options, name), "*") != 0)
        FINDING(CHECK_CORS, "the stream allows %.100s, but OPTIONS is answered %d without it", origin,
                options->answer.status);
    else
        OK(CHECK_CORS, "%.100s is allowed%s", origin,
           *field(stream, "access-control-allow-credentials") ? ", with credentials"
                                                              : ", without credentials");
}

void doctor_check_late(struct doctor_report *report, const struct doctor_stream *stream,
                       const struct doctor_stream *head)
{
    if (head->answer.status == 200) {
        FINDING(CHECK_BUFFERING, "%.200s, not even the head, though HEAD is answered", stream->answer.error);
        return;
    }
    FINDING(CHECK_REACHABLE, "connected, but %.200s, nor to HEAD: no gateway is reached, or none answers",
            stream->answer.error);
    NOT_TRIED(CHECK_METHODS, "nothing is answered");
}

void doctor_check_methods(struct doctor_report *report, const struct doctor_stream *head,
                          const struct doctor_stream *options)
{
    int of_head = head->answer.status, of_options = options->answer.status;
    if (of_head != 200)
        FINDING(CHECK_METHODS, "HEAD is answered %d", of_head);
    else if (of_options != 200 && of_options != 204)
        FINDING(CHECK_METHODS, "OPTIONS is answered %d", of_options);
    else
        OK(CHECK_METHODS, "HEAD and OPTIONS come through");
}

// False where there is nothing to say of events.
static bool check_events(struct doctor_report *report, const struct doctor_stream *stream)
{
    const struct doctor_events *events = stream->events;
    int lost;
    uint64_t slowest = doctor_events_slowest(events, &lost);
    if (events->has_failed || events->sent == 0 || events->receivers == 0)
        return false;
    if (lost > 0)
        FINDING(CHECK_BUFFERING, "of %d events that %" PRIu64 " gateway%s got, %d did not come", events->sent,
                events->receivers, events->receivers == 1 ? "" : "s", lost);
    else if (slowest > EVENT_MAX_MS)
        FINDING(CHECK_BUFFERING, "events came up to %" PRIu64 " ms after they were published", slowest);
    else
        OK(CHECK_BUFFERING, "%d event%s came within %" PRIu64 " ms each", events->sent,
           events->sent == 1 ? "" : "s", slowest);
    return true;
}

static const char *why_no_events(const struct doctor_events *events)
{
    if (events == NULL)
        return "with --redis events are sent and timed, too";
    return events->has_failed ? events->failure.text
                              : "no gateway at that Redis has this channel, so none were timed";
}

void doctor_check_buffering(struct doctor_report *report, const struct doctor_stream *stream,
                            uint64_t idle_ms)
{
    const struct http_answer *answer = &stream->answer;
    if (answer->status == 0)
        FINDING(CHECK_BUFFERING, "no head within %" PRIu64 " ms, though HEAD has an answer",
                answer->end_after_ms);
    else if (stream->first_ms == 0)
        FINDING(CHECK_BUFFERING,
                "the head came, but in %" PRIu64 " ms nothing after it; a gateway sends `retry:` with it",
                answer->end_after_ms);
    else if (stream->first_ms > answer->head_after_ms + FIRST_MAX_MS)
        FINDING(CHECK_BUFFERING,
                "the first bytes came %" PRIu64 " ms after the head; a gateway sends them with it",
                stream->first_ms - answer->head_after_ms);
    else if (stream->bunches > 0)
        FINDING(CHECK_BUFFERING, "heartbeats came several at once, %u time%s", stream->bunches,
                stream->bunches == 1 ? "" : "s");
    else if (answer->end == HTTP_STOPPED && idle_ms >= HEARTBEATS_MS && stream->heartbeats == 0)
        FINDING(CHECK_BUFFERING,
                "no heartbeat came in %" PRIu64 " s (unless the gateway's --heartbeat is longer)",
                idle_ms / 1000);
    else if (!stream->events || !check_events(report, stream))
        OK(CHECK_BUFFERING,
           "the first bytes came with the head, and %" PRIu64 " heartbeat%s one by one; %.200s",
           stream->heartbeats, stream->heartbeats == 1 ? "" : "s", why_no_events(stream->events));
}

void doctor_check_idle(struct doctor_report *report, const struct doctor_stream *stream, uint64_t idle_ms)
{
    const struct http_answer *answer = &stream->answer;
    if (answer->status == 0 || stream->first_ms == 0)
        NOT_TRIED(CHECK_IDLE, "nothing came through (see buffering)");
    else if (stream->said_close)
        NOT_TRIED(CHECK_IDLE, "the gateway ended the stream itself (%s); try again", stream->reason);
    else if (answer->end != HTTP_STOPPED)
        FINDING(CHECK_IDLE,
                "the stream was cut after %" PRIu64 ".%" PRIu64 " s, %" PRIu64 ".%" PRIu64
                " s after its last byte%s",
                answer->end_after_ms / 1000, answer->end_after_ms % 1000 / 100,
                (answer->end_after_ms - stream->last_ms) / 1000,
                (answer->end_after_ms - stream->last_ms) % 1000 / 100,
                stream->heartbeats ? "" : ", before the first heartbeat");
    else if (stream->heartbeats == 0)
        NOT_TRIED(CHECK_IDLE, "open after %" PRIu64 " s (--idle), in which no heartbeat came",
                  idle_ms / 1000);
    else
        OK(CHECK_IDLE, "open after %" PRIu64 " s (--idle) with %" PRIu64 " heartbeat%s and no cut",
           idle_ms / 1000, stream->heartbeats, stream->heartbeats == 1 ? "" : "s");
}

static bool knows_id(const struct doctor_stream *stream)
{
    return stream->said_gap || strcmp(stream->begun, "gap") == 0;
}

void doctor_check_last_event_id(struct doctor_report *report, const struct doctor_stream *by_header,
                                const struct doctor_stream *by_query)
{
    if (knows_id(by_header))
        OK(CHECK_LAST_EVENT_ID, "it reaches the gateway");
    else if (by_header->said_open && knows_id(by_query))
        FINDING(CHECK_LAST_EVENT_ID,
                "the gateway saw an id in the query (last_event_id), and none in the header");
    else if (by_header->said_open && by_query->said_open)
        FINDING(CHECK_LAST_EVENT_ID, "the gateway saw neither the header nor last_event_id in the query");
    else
        NOT_TRIED(CHECK_LAST_EVENT_ID, "the gateway's first event (gateway:open) did not come in time");
}
