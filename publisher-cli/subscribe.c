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
#define WAIT_MAX_MS 86400000  // of what the server asks for
#define GROWTH_MIN_MS 100     // by which that wait grows at least
#define PROBLEM_MAX 2048      // bytes of the body of an error that are read
#define OWN_PREFIX "gateway:" // of events that are the gateway's own

struct subscription {
    const struct settings *settings;
    char *url;
    struct sse_parser parser;
    int wake_fd;
    uint64_t events; // printed
    char printed_id[SSE_ID_MAX + 1];
    // Of the monotonic clock: when the newest byte of a stream came, or the head of another answer; 0: no head came
    // yet.
    uint64_t heard_ms;
    uint64_t idle_ms;  // without a byte, after which a stream is given up; of all of another answer
    unsigned failures; // connections in a row that gave no stream
    bool is_stream;    // the answer that is being read is one
    bool was_open;     // there was a stream
    bool is_silent;    // the answer was given up for idle_ms
    bool is_stuck;     // a signal came while standard output took nothing
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

// One line on standard error. `text` may be a server's.
static void say(const char *what, const char *text)
{
    fprintf(stderr, "sse-publish: %s", what);
    shown_text(stderr, text, strlen(text));
    fputc('\n', stderr);
}

static void note_own(const struct sse_event *event)
{
    const char *what = sse_event_is(event, OWN_PREFIX "gap")     ? "events were lost"
                       : sse_event_is(event, OWN_PREFIX "end")   ? "a channel has ended"
                       : sse_event_is(event, OWN_PREFIX "close") ? "the gateway ends the stream"
                                                                 : NULL;
    if (!what)
        return;
    fprintf(stderr, "sse-publish: %s: ", what);
    shown_text(stderr, event->data.bytes, event->data.len);
    fputc('\n', stderr);
}

static void write_event(FILE *out, const struct sse_event *event, bool json)
{
    if (json) {
        fprintf(out, "{\"event\":");
        shown_json(out, event->type.bytes, event->type.len);
        fprintf(out, ",\"data\":");
        shown_json(out, event->data.bytes, event->data.len);
        fprintf(out, ",\"id\":");
        shown_json(out, event->last_id, strlen(event->last_id));
        fprintf(out, "}\n");
    } else {
        shown_text(out, event->type.bytes, event->type.len);
        fprintf(out, "  ");
        shown_text(out, event->data.bytes, event->data.len);
        fputc('\n', out);
    }
}

// A standard output that nobody reads must not keep a signal from ending this.
static bool print_event(struct subscription *s, const struct sse_event *event)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool ok = false;
    if (out) {
        write_event(out, event, s->settings->json);
        ok = !ferror(out);
        ok = fclose(out) == 0 && ok;
    }
    if (!ok)
        (void)failure_out_of_memory(&s->failure);
    else
        ok = interrupt_write(s->wake_fd, STDOUT_FILENO, text, len, &s->is_stuck) || s->is_stuck ||
             failure_set(&s->failure, "the events could not be printed");
    free(text);
    return ok && !s->is_stuck;
}

static bool has_all(const struct subscription *s)
{
    return s->settings->count != OPTION_UNSET && s->events >= s->settings->count;
}

// No more events are printed, though more may have been read.
static bool is_over(const struct subscription *s)
{
    return has_all(s) || s->is_stuck || s->failure.text[0];
}

// Of the gateway's own events a program is told what is lost and what has ended; the others are about the stream.
static bool is_for_programs(const struct sse_event *event)
{
    return sse_event_is(event, OWN_PREFIX "gap") || sse_event_is(event, OWN_PREFIX "end");
}

static void on_event(void *ctx, const struct sse_event *event)
{
    struct subscription *s = ctx;
    s->failures = 0;
    if (is_over(s))
        return;
    if (is_own(event))
        note_own(event);
    if ((!is_own(event) || (s->settings->json && is_for_programs(event))) && !print_event(s, event))
        return;
    s->events += !is_own(event);
    snprintf(s->printed_id, sizeof s->printed_id, "%s", event->last_id);
}

static bool on_head(void *ctx, const struct http_answer *answer)
{
    struct subscription *s = ctx;
    s->is_stream = http_answer_is_event_stream(answer);
    s->heard_ms = clock_monotonic_ms();
    if (s->is_stream && s->was_open) {
        const char *gateway = http_answer_field(answer, "x-sse-gateway", 0);
        say(gateway ? "the stream goes on, at " : "the stream goes on", gateway ? gateway : "");
    }
    s->was_open = s->was_open || s->is_stream;
    return true;
}

static bool on_bytes(void *ctx, const char *bytes, size_t len)
{
    struct subscription *s = ctx;
    uint64_t comments = s->parser.comments;
    if (!s->is_stream) {
        size_t room = PROBLEM_MAX - s->problem_len;
        memcpy(s->problem + s->problem_len, bytes, len < room ? len : room);
        s->problem_len += len < room ? len : room;
        return s->problem_len < PROBLEM_MAX;
    }
    s->heard_ms = clock_monotonic_ms();
    if (!sse_parser_feed(&s->parser, bytes, len))
        return failure_set(&s->failure, "an event has more than %zu MiB, or memory ran out",
                           SSE_EVENT_MAX >> 20);
    s->failures = s->parser.comments > comments ? 0 : s->failures; // nor where an event came: on_event
    return !is_over(s);
}

// Before the head, http_request.head_ms is the bound.
static int64_t on_turn(void *ctx)
{
    struct subscription *s = ctx;
    if (s->heard_ms == 0)
        return 1000;
    uint64_t silent_ms = clock_monotonic_ms() - s->heard_ms;
    s->is_silent = silent_ms >= s->idle_ms;
    return s->is_silent ? -1 : (int64_t)(s->idle_ms - silent_ms);
}

// An answer that is no stream was read far enough to be shown, or for long enough.
static bool gave_up(const struct subscription *s)
{
    return !s->is_stream && (s->is_silent || s->problem_len == PROBLEM_MAX);
}

// What an EventSource would do next.
enum next { NEXT_RECONNECT, NEXT_DONE, NEXT_REFUSED };

// The length of the first line.
static size_t first_line(const char *text)
{
    size_t len = strcspn(text, "\r\n");
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
    if (s->is_stream && s->is_silent) {
        fprintf(stderr, "sse-publish: nothing came for %" PRIu64 " ms, not even a heartbeat\n", s->idle_ms);
        return NEXT_RECONNECT;
    }
    if (answer->end == HTTP_STOPPED && !gave_up(s))
        return NEXT_DONE;
    if (answer->end == HTTP_FAILED && (answer->is_untrusted || !s->was_open)) {
        (void)failure_set(&s->failure, "no answer from %.*s: %s", http_url_shown(s->url), s->url,
                          answer->error);
        return NEXT_REFUSED;
    }
    if (answer->end == HTTP_FAILED || (s->is_stream && answer->end == HTTP_CUT))
        say(s->is_stream ? "the stream was cut: " : "no answer: ", answer->error);
    return answer->end == HTTP_FAILED || s->is_stream ? NEXT_RECONNECT : judge_status(s, answer);
}

// Seconds of Retry-After (RFC 9110, 10.2.3) that are waited; a date counts as none.
static uint64_t retry_after_s(const struct http_answer *answer)
{
    const char *after = http_answer_field(answer, "retry-after", 0);
    uint64_t s = after && *after >= '0' && *after <= '9' ? strtoull(after, NULL, 10) : 0;
    return s < WAIT_MAX_MS / 1000 ? s : WAIT_MAX_MS / 1000;
}

// The gateway's retry, doubled with each connection in a row that gave no stream; no less than Retry-After asks for.
// `answer` is NULL where nothing was asked.
static uint64_t wait_ms(struct subscription *s, const struct http_answer *answer)
{
    uint64_t ms = s->parser.retry_ms >= 0 ? (uint64_t)s->parser.retry_ms : RETRY_DEFAULT_MS;
    uint64_t asked_ms = answer && answer->status > 0 && !s->is_stream ? retry_after_s(answer) * 1000 : 0;
    for (unsigned i = 1; i < s->failures && ms < RETRY_MAX_MS; i++)
        ms += ms < GROWTH_MIN_MS ? GROWTH_MIN_MS : ms;
    ms = ms < asked_ms ? asked_ms : ms;
    ms = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
    // Up to a quarter more, so that many do not come back at once.
    return ms + jitter_next(&s->random) % (ms / 4 + 1);
}

// Where the token's file is being written anew, a stream that was open is not given up.
static enum next go_on_without_token(struct subscription *s, uint64_t *wait)
{
    if (!s->was_open)
        return NEXT_REFUSED;
    say("", s->failure.text);
    s->failure.text[0] = '\0';
    *wait = wait_ms(s, NULL);
    return NEXT_RECONNECT;
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
    s->failures++;
    s->is_stream = s->is_silent = false;
    s->heard_ms = s->problem_len = 0;
    // Each time: whoever renews the token writes it to the same file.
    if (s->settings->token_file && !credentials_bearer(s->settings->token_file, bearer, &s->failure))
        return go_on_without_token(s, wait);
    if (s->settings->token_file)
        fields[request.field_count++] = (struct http_field){"Authorization", bearer};
    if (s->parser.last_id[0])
        fields[request.field_count++] = (struct http_field){"Last-Event-ID", s->parser.last_id};
    sse_parser_begin(&s->parser);
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
    memcpy(s->printed_id, s->parser.last_id, sizeof s->printed_id);
    return make_url(s, argc, argv);
}

// An id without an event counts, but not behind events that were not printed.
static void say_id(const struct subscription *s)
{
    const char *id = is_over(s) ? s->printed_id : s->parser.last_id;
    if (*id == '\0')
        return;
    fprintf(stderr, "sse-publish: ended; --last-event-id ");
    shown_text(stderr, id, strlen(id));
    fprintf(stderr, " goes on there\n");
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
    if (ok && (s.wake_fd = interrupt_open()) < 0) {
        (void)failure_set(&s.failure, "signals cannot be read");
        next = NEXT_REFUSED;
    } else if (ok) {
        next = run(&s);
    }
    if (ok)
        say_id(&s);
    sse_parser_deinit(&s.parser);
    free(s.url);
    if (s.wake_fd >= 0)
        (void)close(s.wake_fd); // of signals: nothing can be lost
    return !ok                 ? fail(EXIT_USAGE, s.failure.text)
           : next == NEXT_DONE ? EXIT_DONE
                               : fail(EXIT_REFUSED, s.failure.text);
}
