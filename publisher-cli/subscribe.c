#include "publisher-cli/subscribe.h"

#include "common/clock.h"
#include "common/jitter.h"
#include "publisher-cli/channel.h"
#include "publisher-cli/credentials.h"
#include "publisher-cli/http_stream.h"
#include "publisher-cli/interrupt.h"
#include "publisher-cli/shown.h"
#include "publisher-cli/sse_parser.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_DEFAULT_MS 3000 // until the gateway has said another
#define RETRY_MAX_MS 60000    // of the growing wait while nothing answers
#define GROWTH_MIN_MS 100     // by which that wait grows at least
#define PROBLEM_MAX 2048      // bytes of the body of an error that are read
#define OWN_PREFIX "gateway:" // of events that are the gateway's own

struct subscription {
    const struct settings *settings;
    char *url;
    struct sse_parser parser;
    int wake_fd;
    uint64_t events;               // printed
    uint64_t heard_ms;             // when the last byte came, of the monotonic clock
    uint64_t idle_ms;              // without a byte, after which a stream is given up
    unsigned failures;             // connections in a row that gave no stream
    bool is_stream;                // the answer that is being read is one
    bool was_open;                 // there was a stream
    bool is_silent;                // the last one was given up, since nothing came
    char problem[PROBLEM_MAX + 1]; // body of an answer that is no stream
    size_t problem_len;
    uint64_t random;
    struct failure failure;
};

static bool is_own(const struct sse_event *event)
{
    size_t len = sizeof OWN_PREFIX - 1;
    return event->type.len >= len && memcmp(event->type.bytes, OWN_PREFIX, len) == 0;
}

static bool is_type(const struct sse_event *event, const char *type)
{
    return event->type.len == strlen(type) && memcmp(event->type.bytes, type, event->type.len) == 0;
}

static void note_own(const struct sse_event *event)
{
    bool is_gap = is_type(event, OWN_PREFIX "gap");
    if (!is_gap && !is_type(event, OWN_PREFIX "close"))
        return;
    fprintf(stderr, "sse-publish: %s: ", is_gap ? "events were lost" : "the gateway ends the stream");
    shown_text(stderr, event->data.bytes, event->data.len);
    fputc('\n', stderr);
}

static void print_event(const struct subscription *s, const struct sse_event *event)
{
    if (s->settings->json) {
        printf("{\"event\":");
        shown_json(stdout, event->type.bytes, event->type.len);
        printf(",\"data\":");
        shown_json(stdout, event->data.bytes, event->data.len);
        printf(",\"id\":");
        shown_json(stdout, event->last_id, strlen(event->last_id));
        printf("}\n");
    } else {
        shown_text(stdout, event->type.bytes, event->type.len);
        printf("  ");
        shown_text(stdout, event->data.bytes, event->data.len);
        printf("\n");
    }
    (void)fflush(stdout); // on_bytes asks for its error
}

static bool has_all(const struct subscription *s)
{
    return s->settings->count != OPTION_UNSET && s->events >= s->settings->count;
}

// Of the gateway's own events a program is told what is lost; the others are about the stream, not in it.
static void on_event(void *ctx, const struct sse_event *event)
{
    struct subscription *s = ctx;
    s->failures = 0;
    if (has_all(s))
        return;
    if (is_own(event))
        note_own(event);
    else
        s->events++;
    if (!is_own(event) || (s->settings->json && is_type(event, OWN_PREFIX "gap")))
        print_event(s, event);
}

static bool is_event_stream(const struct http_answer *answer)
{
    static const char type[] = "text/event-stream";
    const char *field = http_answer_field(answer, "content-type", 0);
    size_t len = sizeof type - 1;
    return answer->status == 200 && field && strncasecmp(field, type, len) == 0 &&
           (field[len] == '\0' || field[len] == ';' || field[len] == ' ');
}

static bool on_head(void *ctx, const struct http_answer *answer)
{
    struct subscription *s = ctx;
    s->is_stream = is_event_stream(answer);
    s->heard_ms = clock_monotonic_ms();
    if (s->is_stream && s->was_open) {
        const char *gateway = http_answer_field(answer, "x-sse-gateway", 0);
        fprintf(stderr, "sse-publish: the stream goes on%s%s\n", gateway ? ", at " : "",
                gateway ? gateway : "");
    }
    s->was_open = s->was_open || s->is_stream;
    return true;
}

static bool on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct subscription *s = ctx;
    uint64_t comments = s->parser.comments;
    s->heard_ms = clock_monotonic_ms();
    if (!s->is_stream) {
        size_t room = PROBLEM_MAX - s->problem_len;
        memcpy(s->problem + s->problem_len, bytes, len < room ? len : room);
        s->problem_len += len < room ? len : room;
        return true;
    }
    if (!sse_parser_feed(&s->parser, bytes, len))
        return failure_set(&s->failure, "an event has more than %zu MiB, or memory ran out",
                           SSE_EVENT_MAX >> 20);
    s->failures = s->parser.comments > comments ? 0 : s->failures; // nor where an event came: on_event
    return !has_all(s) && (!ferror(stdout) || failure_set(&s->failure, "the events could not be printed"));
}

static int64_t on_turn(void *ctx)
{
    struct subscription *s = ctx;
    uint64_t silent_ms = clock_monotonic_ms() - s->heard_ms;
    s->is_silent = s->is_stream && silent_ms >= s->idle_ms;
    return s->is_silent ? -1 : s->is_stream ? (int64_t)(s->idle_ms - silent_ms) : 1000;
}

// What an EventSource would do next.
enum next { NEXT_RECONNECT, NEXT_DONE, NEXT_REFUSED };

// The length of the first line, in which control characters become question marks.
static size_t first_line(char *text)
{
    size_t len = strcspn(text, "\r\n");
    for (size_t i = 0; i < len; i++)
        text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    return len < 300 ? len : 300;
}

// 204 is the end of all channels. What may pass is tried again, though an EventSource gives up.
static enum next judge_status(struct subscription *s, const struct http_answer *answer)
{
    int status = answer->status;
    if (status == 204) {
        fprintf(stderr, "sse-publish: the channels have ended (204)\n");
        return NEXT_DONE;
    }
    if (status == 429 || status == 500 || (status >= 502 && status <= 504)) {
        fprintf(stderr, "sse-publish: refused with %d, where an EventSource gives up for good\n", status);
        return NEXT_RECONNECT;
    }
    const char *from = http_answer_field(answer, "x-sse-gateway", 0) ? "the gateway" : "the server";
    int line = (int)first_line(s->problem);
    (void)failure_set(&s->failure, "%s answers %d%s%s%.*s", from, status,
                      status == 200 ? ", but that is no event stream" : "", line ? ": " : "", line,
                      s->problem);
    if (status == 401 && s->settings->ticket && s->was_open)
        (void)failure_set(&s->failure,
                          "the gateway answers 401: a ticket opens one stream; --token-file has what "
                          "can come back");
    return NEXT_REFUSED;
}

static enum next judge(struct subscription *s, const struct http_answer *answer)
{
    if (has_all(s))
        return NEXT_DONE;
    if (s->failure.text[0])
        return NEXT_REFUSED;
    if (s->is_silent) {
        fprintf(stderr, "sse-publish: nothing came for %" PRIu64 " ms, not even a heartbeat\n", s->idle_ms);
        return NEXT_RECONNECT;
    }
    if (answer->end == HTTP_STOPPED)
        return NEXT_DONE;
    if (answer->end == HTTP_FAILED && (answer->is_untrusted || !s->was_open)) {
        (void)failure_set(&s->failure, "no answer from %.200s: %s", s->url, answer->error);
        return NEXT_REFUSED;
    }
    if (answer->end == HTTP_FAILED || (s->is_stream && answer->end == HTTP_CUT))
        fprintf(stderr, "sse-publish: %s: %s\n", s->is_stream ? "the stream was cut" : "no answer",
                answer->error);
    return answer->end == HTTP_FAILED || s->is_stream ? NEXT_RECONNECT : judge_status(s, answer);
}

// The gateway's retry, doubled with each connection in a row that gave no stream; no less than Retry-After asks for.
static uint64_t wait_ms(struct subscription *s, const struct http_answer *answer)
{
    uint64_t ms = s->parser.retry_ms >= 0 ? (uint64_t)s->parser.retry_ms : RETRY_DEFAULT_MS;
    const char *after =
        s->is_stream || answer->status == 0 ? NULL : http_answer_field(answer, "retry-after", 0);
    uint64_t asked = after ? strtoull(after, NULL, 10) : 0; // seconds; a date counts as none
    for (unsigned i = 1; i < s->failures && ms < RETRY_MAX_MS; i++)
        ms += ms < GROWTH_MIN_MS ? GROWTH_MIN_MS : ms;
    if (asked <= RETRY_MAX_MS && ms < asked * 1000)
        ms = asked * 1000;
    // Up to a quarter more, so that many do not come back at once.
    return ms + jitter_next(&s->random) % (ms / 4 + 1);
}

static enum next connect_once(struct subscription *s, uint64_t *wait)
{
    static char bearer[TOKEN_MAX + 16];
    struct http_field fields[4] = {{"Accept", "text/event-stream"}, {"Cache-Control", "no-cache"}};
    struct http_request request = {.url = s->url,
                                   .method = "GET",
                                   .fields = fields,
                                   .field_count = 2,
                                   .ca = s->settings->cacert,
                                   .connect_ms = s->settings->timeout,
                                   .head_ms = s->settings->timeout,
                                   .follows = true};
    const struct http_reader reader = {on_head, on_bytes, on_turn, s, s->wake_fd};
    struct http_answer answer;
    // Each time: whoever renews the token writes it to the same file.
    if (s->settings->token_file && !credentials_bearer(s->settings->token_file, bearer, &s->failure))
        return NEXT_REFUSED;
    if (s->settings->token_file)
        fields[request.field_count++] = (struct http_field){"Authorization", bearer};
    if (s->parser.last_id[0])
        fields[request.field_count++] = (struct http_field){"Last-Event-ID", s->parser.last_id};
    sse_parser_begin(&s->parser);
    s->is_stream = s->is_silent = false;
    s->problem_len = 0;
    s->failures++;
    if (!http_perform(&request, &reader, &answer, &s->failure))
        return NEXT_REFUSED;
    s->problem[s->problem_len] = '\0';
    enum next next = judge(s, &answer);
    *wait = wait_ms(s, &answer);
    http_answer_deinit(&answer);
    return next;
}

static enum next run(struct subscription *s)
{
    for (;;) {
        uint64_t wait;
        enum next next = connect_once(s, &wait);
        if (next != NEXT_RECONNECT)
            return next;
        fprintf(stderr, "sse-publish: reconnecting in %" PRIu64 " ms\n", wait);
        if (interrupt_within(s->wake_fd, wait))
            return NEXT_DONE;
    }
}

// control=1 gives an id from the start, so that no event of a durable channel is missed.
static bool make_url(struct subscription *s, int channels, char **channel)
{
    const struct settings *settings = s->settings;
    struct http_field *parameters = calloc((size_t)channels + 2, sizeof *parameters);
    size_t count = 0;
    if (!parameters)
        return failure_out_of_memory(&s->failure);
    for (int i = 0; i < channels; i++)
        parameters[count++] = (struct http_field){"channel", channel[i]};
    parameters[count++] = (struct http_field){"control", "1"};
    if (settings->ticket)
        parameters[count++] = (struct http_field){"ticket", settings->ticket};
    s->url =
        http_url_with(settings->url ? settings->url : SUBSCRIBE_DEFAULT_URL, parameters, count, &s->failure);
    free(parameters);
    return s->url != NULL;
}

static bool check_id(const char *id, struct failure *failure)
{
    for (const char *at = id; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return failure_set(failure, "--last-event-id: an id has no control characters");
    }
    return strlen(id) <= SSE_ID_MAX ||
           failure_set(failure, "--last-event-id: an id has %d bytes at most", SSE_ID_MAX);
}

static bool prepare(struct subscription *s, int argc, char **argv)
{
    const struct settings *settings = s->settings;
    bool ok = true;
    for (int i = 0; ok && i < argc; i++)
        ok = channel_check(argv[i], &s->failure);
    if (settings->token_file && settings->ticket)
        return failure_set(&s->failure, "--token-file and --ticket: one of the two");
    if (!ok || (settings->last_event_id && !check_id(settings->last_event_id, &s->failure)))
        return false;
    if (settings->last_event_id)
        snprintf(s->parser.last_id, sizeof s->parser.last_id, "%s", settings->last_event_id);
    return make_url(s, argc, argv);
}

enum exit_status subscribe_command(const struct settings *settings, int argc, char **argv)
{
    struct subscription s = {.settings = settings, .wake_fd = -1, .random = jitter_seed()};
    s.idle_ms = settings->idle == OPTION_UNSET ? IDLE_DEFAULT_MS : settings->idle;
    enum next next = NEXT_DONE;
    s.parser.on_event = on_event;
    s.parser.ctx = &s;
    s.parser.retry_ms = -1;
    bool ok = prepare(&s, argc, argv);
    if (ok && (s.wake_fd = interrupt_open()) < 0)
        next = failure_set(&s.failure, "signals cannot be read") ? NEXT_DONE : NEXT_REFUSED;
    else if (ok)
        next = run(&s);
    if (ok && s.parser.last_id[0])
        fprintf(stderr, "sse-publish: ended; --last-event-id %s goes on there\n", s.parser.last_id);
    sse_parser_deinit(&s.parser);
    free(s.url);
    if (s.wake_fd >= 0)
        (void)close(s.wake_fd); // of signals: nothing can be lost
    return !ok                 ? fail(EXIT_USAGE, s.failure.text)
           : next == NEXT_DONE ? EXIT_DONE
                               : fail(EXIT_REFUSED, s.failure.text);
}
