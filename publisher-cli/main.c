// sse-publish: publishes events to the channels that gateways stream. docs/man/sse-publish.1 is its manual.
#include "common/clock.h"
#include "common/redis_url.h"
#include "publisher-cli/channel.h"
#include "publisher-cli/discovery.h"
#include "publisher-cli/doctor.h"
#include "publisher-cli/exit_status.h"
#include "publisher-cli/gateways_command.h"
#include "publisher-cli/history.h"
#include "publisher-cli/input.h"
#include "publisher-cli/install.h"
#include "publisher-cli/message.h"
#include "publisher-cli/publish.h"
#include "publisher-cli/report.h"
#include "publisher-cli/revoke.h"
#include "publisher-cli/settings.h"
#include "publisher-cli/subscribe.h"
#include "publisher-cli/target.h"
#include "publisher-cli/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
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
    uint64_t lines;                      // read so far, with --lines
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

static bool send_data(struct run *run, struct span data)
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
    return publisher_send(run->publisher, payload, &run->failure);
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
    return run->refused;
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
    if (!send_data(run, (struct span){data, len}) || !publisher_flush(run->publisher, &run->failure))
        return fail_to_publish(run);
    run->trace.publish_us = (clock_monotonic_ns() - began_ns) / 1000;
    totals = publisher_totals(run->publisher);
    if (run->settings->trace)
        return follow(run, &totals);
    report_one(run->settings, run->channel, &totals);
    return EXIT_DONE;
}

// Sends all whole lines that were read, then waits for the answers, then for more: nothing is held back while
// the input is idle.
static enum exit_status publish_lines(struct run *run)
{
    const char *line;
    size_t len;
    struct publisher_totals totals;

    for (;;) {
        enum input_result result = input_next_line(&run->input, &line, &len);
        run->lines += result == INPUT_LINE;
        bool ok = result == INPUT_LINE ? send_data(run, (struct span){line, len})
                                       : publisher_flush(run->publisher, &run->failure);

        if (!ok)
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

static struct durable_settings durable_of(const struct run *run)
{
    const struct settings *settings = run->settings;
    return (struct durable_settings){
        .event = run->fields.event,
        .traceparent = run->fields.traceparent,
        .trace_to = run->fields.trace_to,
        .has_retry = run->fields.has_retry,
        .retry_ms = run->fields.retry_ms,
        .keep = settings->keep == OPTION_UNSET ? 0 : settings->keep,
        .keep_for_ms = settings->keep_for == OPTION_UNSET ? 0 : settings->keep_for,
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

static bool install_at(struct connection *connection, void *ctx, struct failure *failure)
{
    const struct run *run = ctx;
    long long version;
    enum install_result result = install_library(connection, &version, failure);

    if (result == INSTALL_FAILED)
        return false;
    report_install(run->settings, run->url.kind == REDIS_URL_CLUSTER ? connection_name(connection) : NULL,
                   result, version);
    return true;
}

static enum exit_status install(const struct settings *settings)
{
    struct run run = {.settings = settings};
    enum exit_status status = EXIT_DONE;
    if (!target_init(settings, &run.url, &run.target, &run.failure))
        status = fail(EXIT_USAGE, run.failure.text);
    else if (!discovery_each_master(&run.target, install_at, &run, &run.failure))
        status = fail(EXIT_REFUSED, run.failure.text);
    redis_url_deinit(&run.url);
    return status;
}

static enum exit_status run_publish(const struct settings *settings, int argc, char **argv)
{
    struct run run = {.settings = settings,
                      .fields = {.event = settings->event, .id = settings->id},
                      .refused = EXIT_REFUSED};
    enum exit_status status;

    if (settings->install)
        return install(settings);
    if (settings->revoke_subject || settings->revoke_token)
        return revoke_command(settings);
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
    redis_url_deinit(&run.url);
    return status;
}

static enum exit_status run_as(enum use use, const struct settings *settings, int argc, char **argv)
{
    static const struct {
        enum use use;
        enum exit_status (*run)(const struct settings *settings, int argc, char **argv);
    } table[] = {{USE_PUBLISH, run_publish},
                 {USE_GATEWAYS, gateways_command},
                 {USE_HISTORY, history_command},
                 {USE_SUBSCRIBE, subscribe_command},
                 {USE_DOCTOR, doctor_command}};
    struct failure failure;
    size_t i = 0;
    if (!settings_check(settings, use, argc, &failure))
        return fail(EXIT_USAGE, failure.text);
    while (table[i].use != use)
        i++;
    return table[i].run(settings, argc, argv);
}

// Where `operand` stood in `given`, the arguments before getopt_long put options first.
static int position_of(const char *operand, char *const *given, int argc)
{
    int i = 0;
    while (i < argc && given[i] != operand)
        i++;
    return i;
}

// `--` before the first operand says that it is a channel. getopt_long leaves the `--` that ends options in argv, just
// before the operands.
static bool is_behind_dashes(int first, char **argv, char *const *given, int argc)
{
    return strcmp(argv[first - 1], "--") == 0 &&
           position_of(argv[first - 1], given, argc) < position_of(argv[first], given, argc);
}

static enum exit_status run_with(const struct settings *settings, int first, int argc, char **argv,
                                 char *const *given)
{
    bool is_channel = first >= argc || is_behind_dashes(first, argv, given, argc);
    enum use use = settings_use(is_channel ? NULL : argv[first]);
    first += use != USE_PUBLISH;
    return run_as(use, settings, argc - first, argv + first);
}

// A descriptor 0 to 2 that is closed would be given to the connection, and what is printed then sent to
// Redis. /dev/null, opened the wrong way round, occupies the descriptor and fails on use.
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            abort();
    }
}

int main(int argc, char **argv)
{
    struct settings settings;
    char error[512];
    int first;
    enum exit_status status = EXIT_DONE;
    char **given = calloc((size_t)argc + 1, sizeof *given);

    occupy_standard_descriptors();
    // A write to a Redis that has gone must fail with an error, not end the process by a signal.
    (void)signal(SIGPIPE, SIG_IGN);
    if (!given)
        return fail(EXIT_REFUSED, "out of memory");
    memcpy(given, argv, (size_t)argc * sizeof *given);
    if (!options_load(&settings_table, argc, argv, &settings, &first, error, sizeof(error))) {
        free(given);
        return fail(EXIT_USAGE, error);
    }
    if (settings.help)
        options_print_help(&settings_table, stdout);
    else if (settings.version)
        printf("sse-publish %s\n", SSE_GATEWAY_VERSION);
    else
        status = run_with(&settings, first, argc, argv, given);
    free(given);
    options_free(&settings_table, &settings);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = fail(EXIT_REFUSED, "all was done, but the result could not be printed");
    return status;
}
