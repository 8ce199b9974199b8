#include "publisher-cli/publish_command.h"

#include "common/clock.h"
#include "common/redis_url.h"
#include "publisher-cli/channel.h"
#include "publisher-cli/input.h"
#include "publisher-cli/message.h"
#include "publisher-cli/publish.h"
#include "publisher-cli/report.h"
#include "publisher-cli/target.h"
#include "publisher-cli/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Far above what gateways let through (--max-message), and far below what Redis takes (512 MiB).
#define DATA_MAX (16 << 20)
// Their default of --max-message.
#define GATEWAY_MAX_MESSAGE (1 << 20)
#define NAME_SIZE 32

// The state of one run.
struct run {
    const struct settings *settings;
    const char *channel, *data; // data is NULL where it is read from standard input
    struct message_fields fields;
    struct redis_url url;
    struct redis_target target;
    struct publisher *publisher;
    struct input input;
    struct buf buffer;                   // of message_compose
    struct trace trace;                  // with --trace
    uint64_t lines;                      // with --lines: how many there were, up to the one that is sent
    struct buf held;                     // with --end: the newest line, which may be the last one
    bool has_held;                       // an empty line is one, too
    uint64_t gather_until_ms;            // with --coalesce
    bool warned_of_text, warned_of_size; // once is enough
    enum exit_status refused;            // the exit status where sending fails
    struct failure failure;
};

// A durable event that no gateway could deliver is refused, not stored. The messages that were sent before
// are flushed first.
static bool refuse_data(struct run *run, const char *problem)
{
    if (!publisher_flush(run->publisher, &run->failure))
        return false;
    run->refused = EXIT_USAGE;
    if (run->settings->lines)
        return failure_set(&run->failure, "line %" PRIu64 ": no event stream can carry it, because %s",
                           run->lines, problem);
    return failure_set(&run->failure, "no event stream can carry this data, because %s", problem);
}

// The name of the message in warnings and errors.
static const char *message_name(const struct run *run, char name[NAME_SIZE])
{
    if (!run->settings->lines)
        return "the message";
    snprintf(name, NAME_SIZE, "line %" PRIu64, run->lines);
    return name;
}

static void warn_of_text(struct run *run, const char *problem)
{
    char name[NAME_SIZE];
    if (!run->warned_of_text)
        fprintf(stderr, "sse-publish: warning: gateways will drop %s, because %s\n", message_name(run, name),
                problem);
    run->warned_of_text = true;
}

static void warn_of_size(struct run *run, size_t len)
{
    char name[NAME_SIZE];
    uint64_t max = run->settings->max_message;
    if (run->warned_of_size || len <= max)
        return;
    fprintf(stderr,
            "sse-publish: warning: %s has %zu bytes, and gateways drop what has more than their "
            "--max-message: %" PRIu64 " %s%s\n",
            message_name(run, name), len, max,
            max == GATEWAY_MAX_MESSAGE ? "unless set (if it is, say so with --max-message)" : "as given",
            run->settings->durable ? "; it is kept, and read in vain by each client that comes back" : "");
    run->warned_of_size = true;
}

// `is_last`: no other event follows.
static bool send_data(struct run *run, struct span data, bool is_last)
{
    const char *problem = message_undeliverable(data);
    if (problem && run->settings->durable)
        return refuse_data(run, problem);
    if (problem)
        warn_of_text(run, problem);
    // A durable event gets its envelope in Redis; gateways that read it there look at the data alone.
    struct span payload = data;
    if (!run->settings->durable && !message_compose(&run->fields, data, &run->buffer, &payload))
        return failure_out_of_memory(&run->failure);
    warn_of_size(run, payload.len);
    return publisher_send(run->publisher, payload, is_last, &run->failure);
}

// The result of input_*, where it is an error.
static enum exit_status fail_input(const struct run *run, enum input_result result)
{
    struct failure reason;
    if (result == INPUT_TOO_LONG && run->settings->lines)
        (void)failure_set(&reason, "line %" PRIu64 " has more than %d MiB", run->lines + 1, DATA_MAX >> 20);
    else if (result == INPUT_TOO_LONG)
        (void)failure_set(&reason, "standard input has more than %d MiB", DATA_MAX >> 20);
    else
        (void)failure_set(&reason, "cannot read standard input: %s", strerror(errno));
    return fail(EXIT_USAGE, reason.text);
}

static enum exit_status fail_to_publish(const struct run *run)
{
    struct publisher_totals totals = publisher_totals(run->publisher);
    report_failure(run->settings, run->failure.text, &totals);
    return totals.is_fenced ? EXIT_FENCED : run->refused;
}

// The event is out: where its reports cannot be heard, nobody is to publish it again. In a cluster where Pub/Sub is
// classic, each node knows its own subscribers alone: then the whole time is waited.
static enum exit_status follow(struct run *run, const struct publisher_totals *totals)
{
    bool is_known = run->url.kind != REDIS_URL_CLUSTER || run->url.sharded;
    uint64_t gateways = is_known ? totals->receivers_max : UINT64_MAX;
    if (!trace_collect(&run->trace, gateways, run->settings->trace_timeout, &run->failure))
        report_unheard(run->failure.text);
    report_trace(run->settings, run->channel, totals, &run->trace);
    return EXIT_DONE;
}

static enum exit_status publish_one(struct run *run)
{
    const char *data = run->data;
    size_t len = data ? strlen(data) : 0;
    struct publisher_totals totals;

    if (data == NULL) {
        enum input_result result = input_read_all(&run->input, &data, &len);

        if (result != INPUT_LINE)
            return fail_input(run, result);
    }
    run->trace.sent_at_us = clock_unix_us();
    uint64_t began_ns = clock_monotonic_ns();
    if (!send_data(run, (struct span){data, len}, true) || !publisher_flush(run->publisher, &run->failure))
        return fail_to_publish(run);
    run->trace.publish_us = (clock_monotonic_ns() - began_ns) / 1000;
    totals = publisher_totals(run->publisher);
    if (run->settings->trace)
        return follow(run, &totals);
    report_one(run->settings, run->channel, &totals);
    return EXIT_DONE;
}

static bool send_line(struct run *run, struct span line, bool is_last)
{
    run->lines++;
    bool ok = send_data(run, line, is_last);
    if (publisher_pending(run->publisher) == 1)
        run->gather_until_ms = clock_monotonic_ms() + run->settings->coalesce;
    return ok;
}

static bool send_held(struct run *run, bool is_last)
{
    struct span line = {run->held.len > 0 ? run->held.data : "", run->held.len};
    bool ok = !run->has_held || send_line(run, line, is_last);
    run->has_held = false;
    buf_clear(&run->held);
    return ok;
}

// A line is held back until it is known whether it is the last one, where that is another event than the others.
static bool take_line(struct run *run, struct span line)
{
    if (run->settings->end == OPTION_UNSET)
        return send_line(run, line, false);
    if (!send_held(run, false))
        return false;
    run->has_held = true;
    return buf_append(&run->held, line.bytes, line.len) || failure_out_of_memory(&run->failure);
}

// Without any line the end is an event of its own, without data.
static bool take_end(struct run *run)
{
    bool is_empty = run->settings->end != OPTION_UNSET && run->lines == 0 && !run->has_held;
    return (is_empty ? send_line(run, (struct span){"", 0}, true) : send_held(run, true)) &&
           publisher_flush(run->publisher, &run->failure);
}

// True where more lines may still go with those that were read.
static bool may_gather(struct run *run)
{
    uint64_t now = clock_monotonic_ms();
    return run->settings->coalesce != OPTION_UNSET && publisher_pending(run->publisher) > 0 &&
           now < run->gather_until_ms && input_within(&run->input, run->gather_until_ms - now);
}

// What a result of input_next_line leads to.
static bool handle(struct run *run, enum input_result result, struct span line)
{
    if (result == INPUT_LINE)
        return take_line(run, line);
    if (result == INPUT_END)
        return take_end(run);
    if (result == INPUT_PENDING && may_gather(run))
        return true;
    if (result != INPUT_PENDING && !send_held(run, false)) // an error: there is no last line
        return false;
    return publisher_flush(run->publisher, &run->failure);
}

// Sends all whole lines that were read, then waits for the answers, then for more: nothing but what --coalesce and --end
// say is held back while the input is idle.
static enum exit_status publish_lines(struct run *run)
{
    struct publisher_totals totals;

    for (;;) {
        struct span line = {NULL, 0};
        enum input_result result = input_next_line(&run->input, &line.bytes, &line.len);

        if (!handle(run, result, line))
            return fail_to_publish(run);
        if (result == INPUT_PENDING)
            result = input_fill(&run->input);
        if (result == INPUT_END)
            break;
        if (result == INPUT_TOO_LONG || result == INPUT_ERROR)
            return fail_input(run, result);
    }
    totals = publisher_totals(run->publisher);
    report_lines(run->settings, run->channel, &totals);
    return EXIT_DONE;
}

static uint64_t given_or_0(uint64_t value)
{
    return value == OPTION_UNSET ? 0 : value;
}

static struct durable_settings durable_of(const struct run *run)
{
    const struct settings *settings = run->settings;
    uint64_t after = 0;
    bool is_fenced = settings->after && settings_offset(settings->after, &after);
    return (struct durable_settings){
        .event = run->fields.event,
        .traceparent = run->fields.traceparent,
        .trace_to = run->fields.trace_to,
        .has_retry = run->fields.has_retry,
        .retry_ms = run->fields.retry_ms,
        .keep = given_or_0(settings->keep),
        .keep_for_ms = given_or_0(settings->keep_for),
        .keep_bytes = given_or_0(settings->keep_bytes),
        .end_ms = given_or_0(settings->end),
        .key = settings->key,
        .is_fenced = is_fenced,
        .after = after,
        .is_snapshot = settings->snapshot,
        .pubsub = settings->redis.pubsub == PUBSUB_CLASSIC   ? "classic"
                  : settings->redis.pubsub == PUBSUB_SHARDED ? "sharded"
                                                             : NULL,
    };
}

static enum exit_status publish(struct run *run)
{
    const struct settings *settings = run->settings;
    if (settings->trace && !trace_begin(&run->trace, &run->target, &run->failure))
        return fail(EXIT_REFUSED, run->failure.text);
    if (settings->trace) {
        run->fields.traceparent = run->trace.parent;
        run->fields.trace_to = run->trace.channel;
    }
    const struct durable_settings durable = durable_of(run);
    const struct publisher_settings publisher = {
        .target = &run->target,
        .channel = run->channel,
        .durable = settings->durable ? &durable : NULL,
        // As gateways do, which listen to the shard that has the channel.
        .is_sharded = run->url.sharded,
        .is_batched = settings->lines,
    };
    enum exit_status status;

    // Before the data is asked for, so that a wrong password shows at once.
    run->publisher = publisher_create(&publisher, &run->failure);
    if (run->publisher == NULL)
        return fail(EXIT_REFUSED, run->failure.text);
    if (run->data == NULL && isatty(STDIN_FILENO))
        fprintf(stderr, "sse-publish: reading from the terminal; Ctrl-D at the beginning of a line ends\n");
    status = settings->lines ? publish_lines(run) : publish_one(run);
    if (status != EXIT_DONE && settings->lines) {
        struct publisher_totals totals = publisher_totals(run->publisher);
        report_confirmed(&totals);
    }
    publisher_destroy(run->publisher);
    return status;
}

enum exit_status publish_command(const struct settings *settings, int argc, char **argv)
{
    struct run run = {.settings = settings,
                      .fields = {.event = settings->event, .id = settings->id},
                      .refused = EXIT_REFUSED};
    enum exit_status status;

    run.channel = argv[0];
    run.data = argc == 2 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
    if (!channel_check(run.channel, &run.failure))
        return fail(EXIT_USAGE, run.failure.text);
    if (settings->lines && run.data)
        return fail(EXIT_USAGE, "--lines reads standard input; leave DATA out");
    run.fields.has_retry = settings->retry != OPTION_UNSET;
    run.fields.retry_ms = (uint32_t)settings->retry;
    if (!message_fields_check(&run.fields, &run.failure))
        return fail(EXIT_USAGE, run.failure.text);
    input_init(&run.input, STDIN_FILENO, DATA_MAX);
    status = target_init(settings, &run.url, &run.target, &run.failure) ? publish(&run)
                                                                        : fail(EXIT_USAGE, run.failure.text);
    trace_end(&run.trace);
    input_deinit(&run.input);
    buf_free(&run.buffer);
    buf_free(&run.held);
    redis_url_deinit(&run.url);
    return status;
}
