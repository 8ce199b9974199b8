// sse-publish: publishes events to the channels that gateways stream. docs/man/sse-publish.1 is its manual.
#include "common/options.h"
#include "common/pattern.h"
#include "common/redis_url.h"
#include "publisher-cli/input.h"
#include "publisher-cli/message.h"
#include "publisher-cli/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum exit_status { EXIT_PUBLISHED = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

// Far above what gateways let through (--max-message), and far below what Redis takes (512 MiB).
#define DATA_MAX (16 << 20)
#define ERROR_MAX 512

struct settings {
    char *redis, *event, *id;
    uint64_t retry, timeout;
    bool durable, lines, json, help, version;
};

// What one run works with.
struct run {
    const struct settings *settings;
    const char *channel, *data; // data is NULL where it is read from standard input
    struct message_fields fields;
    struct redis_url url;
    struct publisher *publisher;
    struct input input;
    struct message_buffer buffer;
    bool warned; // of data that no gateway will pass on; once is enough
    char error[ERROR_MAX];
};

static bool check_redis(const char *text, char *error, size_t error_size)
{
    struct redis_url url;
    bool ok = redis_url_parse(text, &url, error, error_size);

    if (!ok)
        return false;
    ok = publisher_supports(&url, error, error_size);
    redis_url_deinit(&url);
    return ok;
}

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    {.name = "redis",
     .argument = "URL",
     .group = "Redis",
     .type = OPTION_STRING,
     .properties = OPTION_SECRET_URL,
     AT(redis),
     .default_text = "redis://127.0.0.1:6379",
     .check = check_redis,
     .help = "Redis of the gateways: redis://[USER:PASSWORD@]HOST[:PORT][/DB] or redis+unix:///PATH"},
    {.name = "timeout",
     .argument = "TIME",
     .type = OPTION_DURATION,
     AT(timeout),
     .default_text = "5s",
     .min = 1,
     .max = 3600000,
     .help = "How long to wait for a connection, and for each answer"},
    {.name = "event",
     .argument = "NAME",
     .group = "Event",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(event),
     .help = "Name of the event; a browser hears it with addEventListener(NAME, ...)"},
    {.name = "id",
     .argument = "ID",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(id),
     .help = "Id of the event"},
    {.name = "retry",
     .argument = "MS",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(retry),
     .max = UINT32_MAX,
     .help = "Tell clients to wait so many milliseconds before they reconnect"},
    {.name = "durable",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE | OPTION_HIDDEN,
     AT(durable),
     .help = ""},
    {.name = "lines",
     .group = "Input and output",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(lines),
     .help = "Each line of standard input is one event, sent as soon as it is read"},
    {.name = "json",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(json),
     .help = "Print the result as one JSON object"},
    {.name = "help",
     .letter = 'h',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(help),
     .help = "Print this and exit"},
    {.name = "version",
     .letter = 'V',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(version),
     .help = "Print the version and exit"},
};

static const struct option_table table = {
    .program = "sse-publish",
    .synopsis = "[OPTION]... CHANNEL [DATA|-]",
    .purpose = "Publishes DATA, or standard input, as one event to all who stream CHANNEL, and prints how "
               "many gateways "
               "received it.",
    .prefix = "SSE_PUBLISH_",
    .epilogue = "Exit status: 0 published, 1 Redis refused or could not be reached, 2 wrong usage or input.",
    .specs = specs,
    .count = sizeof(specs) / sizeof(specs[0]),
};

static enum exit_status fail(enum exit_status status, const char *reason)
{
    fprintf(stderr, "sse-publish: %s\n", reason);
    return status;
}

static const char *channel_problem(const char *channel)
{
    switch (channel_name_check(channel, strlen(channel))) {
    case CHANNEL_NAME_OK:
        return NULL;
    case CHANNEL_NAME_EMPTY:
        return "CHANNEL is empty";
    case CHANNEL_NAME_TOO_LONG:
        return "CHANNEL is too long; a name has 128 bytes at most";
    case CHANNEL_NAME_RESERVED:
        return "CHANNEL is reserved; choose a name that begins with neither \"__\" nor \"sse:\"";
    case CHANNEL_NAME_BAD_BYTE:
        break;
    }
    return "CHANNEL may only hold the characters A-Z a-z 0-9 _ . : @ / -";
}

static bool send_data(struct run *run, const char *data, size_t len)
{
    const char *payload, *problem = run->warned ? NULL : message_undeliverable(data, len);
    size_t payload_len;

    if (problem) {
        fprintf(stderr, "sse-publish: warning: gateways will drop this message, because %s\n", problem);
        run->warned = true;
    }
    if (!message_compose(&run->fields, data, len, &run->buffer, &payload, &payload_len)) {
        snprintf(run->error, sizeof(run->error), "out of memory");
        return false;
    }
    return publisher_send(run->publisher, run->channel, payload, payload_len, run->error, sizeof(run->error));
}

// The result of input_*, where it is an error.
static enum exit_status fail_input(const char *what, enum input_result result)
{
    char reason[ERROR_MAX];

    if (result == INPUT_TOO_LONG)
        snprintf(reason, sizeof(reason), "%s has more than %d MiB", what, DATA_MAX >> 20);
    else
        snprintf(reason, sizeof(reason), "cannot read standard input: %s", strerror(errno));
    return fail(EXIT_USAGE, reason);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_one(const struct run *run)
{
    uint64_t receivers = publisher_totals(run->publisher).receivers_max;

    if (run->settings->json) {
        printf("{\"channel\":\"%s\",\"receivers\":%" PRIu64 "}\n", run->channel, receivers);
        return;
    }
    printf("%" PRIu64 " gateway%s\n", receivers, plural(receivers));
    if (receivers == 0)
        fprintf(stderr,
                "sse-publish: warning: no gateway has a stream of \"%s\" now, so nobody got this event\n",
                run->channel);
}

static void print_lines(const struct run *run)
{
    struct publisher_totals totals = publisher_totals(run->publisher);

    if (run->settings->json) {
        printf("{\"channel\":\"%s\",\"lines\":%" PRIu64 ",\"receivers_min\":%" PRIu64
               ",\"receivers_max\":%" PRIu64 "}\n",
               run->channel, totals.messages, totals.receivers_min, totals.receivers_max);
        return;
    }
    printf("%" PRIu64 " line%s, ", totals.messages, plural(totals.messages));
    if (totals.receivers_min != totals.receivers_max)
        printf("%" PRIu64 " to ", totals.receivers_min);
    printf("%" PRIu64 " gateway%s\n", totals.receivers_max, plural(totals.receivers_max));
    if (totals.messages > 0 && totals.receivers_min == 0)
        fprintf(stderr, "sse-publish: warning: no gateway had a stream of \"%s\" for %s of the lines\n",
                run->channel, totals.receivers_max == 0 ? "any" : "some");
}

static enum exit_status publish_one(struct run *run)
{
    const char *data = run->data;
    size_t len = data ? strlen(data) : 0;

    if (data == NULL) {
        enum input_result result = input_read_all(&run->input, &data, &len);

        if (result != INPUT_LINE)
            return fail_input("standard input", result);
    }
    if (!send_data(run, data, len) || !publisher_flush(run->publisher, run->error, sizeof(run->error)))
        return fail(EXIT_REFUSED, run->error);
    print_one(run);
    return EXIT_PUBLISHED;
}

// Sends all whole lines that were read, then waits for the answers, then for more: nothing is held back while
// the input is idle.
static enum exit_status publish_lines(struct run *run)
{
    const char *line;
    size_t len;

    for (;;) {
        enum input_result result = input_next_line(&run->input, &line, &len);
        bool ok = result == INPUT_LINE ? send_data(run, line, len)
                                       : publisher_flush(run->publisher, run->error, sizeof(run->error));

        if (!ok)
            return fail(EXIT_REFUSED, run->error);
        if (result == INPUT_PENDING)
            result = input_fill(&run->input);
        if (result == INPUT_END)
            break;
        if (result == INPUT_TOO_LONG || result == INPUT_ERROR)
            return fail_input("a line", result);
    }
    print_lines(run);
    return EXIT_PUBLISHED;
}

static enum exit_status publish(struct run *run)
{
    enum exit_status status;

    // Before the data is asked for, so that a wrong password shows at once.
    run->publisher = publisher_create(&run->url, run->settings->timeout, run->error, sizeof(run->error));
    if (run->publisher == NULL)
        return fail(EXIT_REFUSED, run->error);
    if (run->data == NULL && isatty(STDIN_FILENO))
        fprintf(stderr, "sse-publish: reading from the terminal; Ctrl-D at the beginning of a line ends\n");
    status = run->settings->lines ? publish_lines(run) : publish_one(run);
    if (status != EXIT_PUBLISHED && run->settings->lines)
        fprintf(stderr, "sse-publish: Redis confirmed %" PRIu64 " lines before that\n",
                publisher_totals(run->publisher).messages);
    publisher_destroy(run->publisher);
    return status;
}

static enum exit_status run_with(const struct settings *settings, int argc, char **argv)
{
    struct run run = {.settings = settings, .fields = {.event = settings->event, .id = settings->id}};
    enum exit_status status;

    if (settings->durable)
        return fail(EXIT_USAGE, "--durable is not in this version");
    if (argc == 0)
        return fail(EXIT_USAGE, "CHANNEL is missing; write sse-publish CHANNEL [DATA], or see --help");
    if (argc > 2)
        return fail(EXIT_USAGE, "more than CHANNEL and DATA; put quotes around DATA that has blanks");
    run.channel = argv[0];
    run.data = argc == 2 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
    if (channel_problem(run.channel))
        return fail(EXIT_USAGE, channel_problem(run.channel));
    if (settings->lines && run.data)
        return fail(EXIT_USAGE, "--lines reads standard input; leave DATA out");
    run.fields.has_retry = settings->retry != OPTION_UNSET;
    run.fields.retry_ms = (uint32_t)settings->retry;
    if (!message_fields_check(&run.fields, run.error, sizeof(run.error)))
        return fail(EXIT_USAGE, run.error);
    if (!redis_url_parse(settings->redis, &run.url, run.error, sizeof(run.error)))
        return fail(EXIT_USAGE, run.error);
    input_init(&run.input, STDIN_FILENO, DATA_MAX);
    status = publish(&run);
    input_deinit(&run.input);
    free(run.buffer.bytes);
    redis_url_deinit(&run.url);
    return status;
}

// A descriptor 0 to 2 that is closed would be given to the connection, and what is printed then sent to
// Redis. /dev/null, opened the wrong way round, keeps the place and fails on use.
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
    char error[ERROR_MAX];
    int first;
    enum exit_status status = EXIT_PUBLISHED;

    occupy_standard_descriptors();
    // A Redis that goes away is an error to report, not a silent death.
    (void)signal(SIGPIPE, SIG_IGN);
    if (!options_load(&table, argc, argv, &settings, &first, error, sizeof(error)))
        return fail(EXIT_USAGE, error);
    if (settings.help)
        options_print_help(&table, stdout);
    else if (settings.version)
        printf("sse-publish %s\n", SSE_GATEWAY_VERSION);
    else
        status = run_with(&settings, argc - first, argv + first);
    options_free(&table, &settings);
    if (fflush(stdout) != 0 && status == EXIT_PUBLISHED)
        status = fail(EXIT_REFUSED, "published, but the result could not be printed");
    return status;
}
