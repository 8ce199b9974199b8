#include "common/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/lib/unit_main.h"

// Each test runs in a child of its own (Check forks), so standard error may be bent to a pipe and left there.
static int log_pipe;

static void capture(void)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
    close(fds[1]);
    log_pipe = fds[0];
}

TESTS_WITH(.setup = capture, .timeout_s = 60);

// All that was written so far, which is one read of the pipe.
static const char *captured(void)
{
    static char text[65536];
    ssize_t n;

    close(STDERR_FILENO);
    n = read(log_pipe, text, sizeof(text) - 1);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return text;
}

TEST(a_text_line_has_time_level_module_and_message)
{
    const char *line;
    int y, mo, d, h, mi, s, ms, end = 0;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "gw1");
    log_info("redis", "connected to %s:%d", "localhost", 6379);
    line = captured();
    ck_assert_int_eq(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &y, &mo, &d, &h, &mi, &s, &ms, &end), 7);
    ck_assert_int_eq(end, 25);
    ck_assert_str_eq(line + end, "info  redis: connected to localhost:6379\n");
}

TEST(a_json_line_is_one_object)
{
    json_t *object;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "gw\"1");
    log_warn("listener", "say \"%s\" \\ done", "hi");
    object = json_loads(captured(), 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "level")), "warn");
    ck_assert_str_eq(json_string_value(json_object_get(object, "module")), "listener");
    ck_assert_str_eq(json_string_value(json_object_get(object, "id")), "gw\"1");
    ck_assert_str_eq(json_string_value(json_object_get(object, "msg")), "say \"hi\" \\ done");
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(object, "ts"))), 24);
    json_decref(object);
}

TEST(lines_below_the_level_are_not_written)
{
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, NULL);
    log_debug("x", "hidden");
    log_info("x", "hidden");
    log_error("x", "yes");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("x", "now");
    {
        const char *text = captured();

        ck_assert_ptr_null(strstr(text, "hidden"));
        ck_assert_ptr_nonnull(strstr(text, "error x: yes\n"));
        ck_assert_ptr_nonnull(strstr(text, "debug x: now\n"));
    }
}

static const struct {
    const char *in, *out;
} escapes[] = {
    {"a\nb", "a\\nb"},
    {"a\r\tb", "a\\r\\tb"},
    {"\x1b[31m", "\\x1b[31m"},
    {"\x7f", "\\x7f"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"\xc2\x9b", "\\xc2\\x9b"},
    {"a\xe2\x80\xa8z", "a\\xe2\\x80\\xa8z"}, // a line separator
    {"\xe2\x80\xae", "\\xe2\\x80\\xae"},     // right to left from here on
    {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},
    {"\xe2\x82\xac", "\xe2\x82\xac"},
    {"\xff", "\\xff"},
    {"\xc3", "\\xc3"},
    {"\xe2\x82", "\\xe2\\x82"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"\xc0\xaf", "\\xc0\\xaf"},
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
    {"\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
};

TEST_EACH(control_characters_and_bad_utf8_are_escaped, escapes)
{
    const char *message;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "gw1");
    log_info("x", "%s", escapes[_i].in);
    message = strstr(captured(), "x: ");
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(strlen(message), 3 + strlen(escapes[_i].out) + 1);
    ck_assert_int_eq(strncmp(message + 3, escapes[_i].out, strlen(escapes[_i].out)), 0);
}

TEST(bad_utf8_in_json_still_parses)
{
    json_t *object;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "\xff");
    log_info("x", "%s", "\xff\n");
    object = json_loads(captured(), 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "msg")), "\\xff\\n");
    json_decref(object);
}

// A message of any length and content is one bounded line, whole JSON, cut between characters.
TEST_LOOP(a_long_message_is_cut, 0, 6)
{
    static const char *const fill[] = {"x", "\"", "\\", "\n", "\xc3\xa9", "\xff"};
    char huge[20000] = "";
    const char *line;
    json_t *object;

    for (size_t i = 0; i + 3 < sizeof(huge); i += strlen(fill[_i]))
        memcpy(huge + i, fill[_i], strlen(fill[_i]) + 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "\"\"\"\"");
    log_info("x", "%s", huge);
    line = captured();
    ck_assert_uint_le(strlen(line), 4096);
    object = json_loads(line, 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(object, "msg")), "..."));
    json_decref(object);
}

TEST(names_stand_in_the_order_of_the_levels_and_formats)
{
    ck_assert_str_eq(log_level_names[LOG_LEVEL_DEBUG], "debug");
    ck_assert_str_eq(log_level_names[LOG_LEVEL_ERROR], "error");
    ck_assert_str_eq(log_format_names[LOG_FORMAT_JSON], "json");
}

#define BUFFER 8192

// Takes what comes until `end` was read, or nothing has come for ten seconds.
static char *read_until(const char *end)
{
    static char text[1 << 20];
    size_t used = 0;
    struct pollfd ready = {.fd = log_pipe, .events = POLLIN};
    text[0] = '\0';
    while (!strstr(text, end) && poll(&ready, 1, 10000) == 1) {
        ssize_t n = read(log_pipe, text + used, sizeof text - 1 - used);
        ck_assert_int_gt(n, 0);
        used += (size_t)n;
        text[used] = '\0';
    }
    ck_assert_msg(strstr(text, end), "\"%s\" is not in %s", end, text);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

// Leaves no byte of room in standard error, a pipe.
static void fill_pipe(void)
{
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK), 0);
    for (size_t size = 4096; size > 0; size /= 2)
        while (write(STDERR_FILENO, "................................", size < 32 ? size : 32) > 0)
            ;
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, flags), 0);
}

TEST(with_a_reader_that_stands_still_nobody_waits_and_what_is_dropped_is_told)
{
    char told[64];
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
    ck_assert(log_start(BUFFER));
    fill_pipe();
    for (int i = 0; i < 5000; i++)
        log_debug("x", "line %d.", i);
    uint64_t dropped = log_dropped();
    ck_assert_uint_gt(dropped, 4000);
    ck_assert_uint_lt(dropped, 5000);
    snprintf(told, sizeof told, ": %u lines were dropped", (unsigned)dropped);
    size_t lines = count(read_until(told), "debug x: line "); // there is room again: told before the rest
    log_debug("x", "after");
    ck_assert(log_stop(10000));
    lines += count(read_until("debug x: after\n"), "debug x: line ");
    ck_assert_uint_eq(lines, 5000 - dropped);
    ck_assert_uint_eq(log_dropped(), dropped);
}

TEST(the_exit_does_not_wait_for_a_reader_that_stands_still)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    ck_assert(log_start(BUFFER));
    fill_pipe();
    log_info("x", "lost");
    uint64_t asked = clock_monotonic_ms();
    ck_assert(!log_stop(50));
    ck_assert_uint_ge(clock_monotonic_ms() - asked, 50);
    log_info("x", "lost, too"); // and nobody waits now, either
}

TEST(standard_error_that_was_made_non_blocking_loses_nothing)
{
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
    ck_assert(log_start(1 << 20));
    for (int i = 0; i < 5000; i++)
        log_debug("x", "line %d.", i);
    ck_assert_uint_eq(count(read_until("line 4999.\n"), "debug x: line "), 5000);
    ck_assert(log_stop(10000));
}

TEST(standard_error_that_is_gone_is_counted)
{
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
    ck_assert(log_start(BUFFER));
    close(log_pipe);
    log_debug("x", "to nobody");
    ck_assert(log_stop(10000));
    ck_assert_uint_eq(log_dropped(), 1);
}

#define WRITERS 4
#define EACH 2000

static void *log_many(void *arg)
{
    const int *id = arg;
    for (int i = 0; i < EACH; i++)
        log_debug("x", "thread %d line %d.", *id, i);
    return NULL;
}

TEST(lines_of_many_threads_are_whole_and_in_order)
{
    pthread_t threads[WRITERS];
    int ids[WRITERS];
    int next[WRITERS] = {0};
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
    ck_assert(log_start(1 << 20));
    for (int i = 0; i < WRITERS; i++) {
        ids[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, &ids[i]), 0);
    }
    // A reader that is in time: the threads' lines are more than the pipe holds.
    static char text[1 << 20];
    size_t used = 0;
    int lines = 0;
    while (lines < WRITERS * EACH) {
        ssize_t n = read(log_pipe, text + used, sizeof text - used);
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++)
            lines += text[used + (size_t)i] == '\n';
        used += (size_t)n;
    }
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert(log_stop(10000));
    ck_assert_uint_eq(log_dropped(), 0);
    text[used] = '\0';
    for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
        int id, line, end = 0;
        ck_assert_int_eq(sscanf(at + 25, "debug x: thread %d line %d.%n", &id, &line, &end), 2);
        ck_assert_int_eq(at[25 + end], '\n');
        ck_assert_int_eq(line, next[id]++);
    }
}

// The lines before a crash are the ones that are needed.
TEST(a_crash_loses_no_line)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
        if (!log_start(1 << 20))
            _exit(1);
        for (int i = 0; i < 200; i++)
            log_debug("x", "line %d.", i);
        abort();
    }
    ck_assert_uint_eq(count(read_until("line 199.\n"), "debug x: line "), 200);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}

static void say(int i)
{
    log_warn("x", "client %d was wrong", i);
}

TEST(what_is_repeated_is_said_so_often_and_then_counted)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    log_set_limit(3, 60000);
    ck_assert(log_start(BUFFER));
    for (int i = 0; i < 1000; i++)
        say(i);
    log_warn("x", "another place is not concerned");
    ck_assert(log_stop(10000)); // tells of what was left out until now
    const char *text = captured();
    ck_assert_uint_eq(count(text, "x: client "), 3);
    ck_assert_uint_eq(count(text, "another place"), 1);
    ck_assert_uint_eq(count(text, "warn  x: 997 more lines in "), 1);
    ck_assert_uint_eq(count(text, " s like: client 2 was wrong\n"), 1);
}

TEST(what_was_left_out_is_told_when_the_time_is_over_though_nothing_more_comes)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    log_set_limit(1, 200);
    ck_assert(log_start(BUFFER));
    for (int i = 0; i < 10; i++)
        say(i);
    (void)read_until(" more lines in ");
    ck_assert(log_stop(10000));
}

TEST(after_the_period_lines_are_said_again)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    log_set_limit(1, 20);
    for (int i = 0; i < 10; i++)
        say(i);
    for (uint64_t since = clock_monotonic_ms(); clock_monotonic_ms() - since < 30;)
        ;
    say(100);
    const char *text = captured();
    ck_assert_ptr_nonnull(strstr(text, " more lines in "));
    ck_assert_ptr_nonnull(strstr(text, "client 100 was wrong"));
}

TEST(an_id_of_128_characters_is_not_cut)
{
    char id[129];
    memset(id, 'i', 128);
    id[128] = '\0';
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, id);
    log_info("x", "y");
    json_t *object = json_loads(captured(), 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(object, "id")), id);
    json_decref(object);
}

static const char *said_fields(enum log_format format, const char *subject)
{
    const struct log_field fields[] = {
        LOG_TEXT("connection", "1.47"),
        LOG_TEXT("subject", subject),
        LOG_NUMBER("events", UINT64_C(12345678901)),
        LOG_BOOL("resumed", true),
        LOG_BOOL("last", false),
    };
    log_setup(LOG_LEVEL_INFO, format, "gw1");
    log_fields(LOG_LEVEL_DEBUG, "access", "hidden", fields, 5);
    log_fields(LOG_LEVEL_INFO, "access", "stream ended", fields, 5);
    return captured();
}

static const struct {
    const char *subject, *text, *json;
} subjects[] = {
    {"ann", "ann", "ann"},
    {NULL, "-", NULL},
    {"-", "\"-\"", "-"},
    {"", "\"\"", ""},
    {"a b", "\"a b\"", "a b"},
    {"a\" x=\"y\\", "\"a\\\" x=\\\"y\\\\\"", "a\" x=\"y\\"},
    {"a\nb", "\"a\\\\nb\"", "a\\nb"},
};

TEST_EACH(a_field_in_text_is_one_value_that_cannot_be_taken_for_another, subjects)
{
    char want[200];
    snprintf(
        want, sizeof want,
        "info  access: stream ended connection=1.47 subject=%s events=12345678901 resumed=true last=false\n",
        subjects[_i].text);
    ck_assert_str_eq(said_fields(LOG_FORMAT_TEXT, subjects[_i].subject) + 25, want);
}

TEST_EACH(a_field_in_json_is_a_member, subjects)
{
    json_t *object = json_loads(said_fields(LOG_FORMAT_JSON, subjects[_i].subject), 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "msg")), "stream ended");
    ck_assert_str_eq(json_string_value(json_object_get(object, "connection")), "1.47");
    if (subjects[_i].json)
        ck_assert_str_eq(json_string_value(json_object_get(object, "subject")), subjects[_i].json);
    else
        ck_assert(json_is_null(json_object_get(object, "subject")));
    ck_assert_int_eq(json_integer_value(json_object_get(object, "events")), 12345678901);
    ck_assert(json_is_true(json_object_get(object, "resumed")));
    ck_assert(json_is_false(json_object_get(object, "last")));
    json_decref(object);
}

// Whatever the values are, a line stays one that a pipe takes whole.
TEST_LOOP(fields_of_any_length_make_one_bounded_line, 0, 4)
{
    static const char *const fill[] = {"x", "\"", "\n", "\xff"};
    char huge[5000] = "";
    struct log_field fields[4];
    for (size_t i = 0; i + 3 < sizeof huge; i += strlen(fill[_i]))
        memcpy(huge + i, fill[_i], strlen(fill[_i]) + 1);
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        fields[i] = LOG_TEXT(names[i], huge);
    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        log_setup(LOG_LEVEL_INFO, (enum log_format)format, "gw1");
        log_fields(LOG_LEVEL_INFO, "x", "y", fields, 3);
    }
    const char *text = captured(), *end = strchr(text, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_lt(end - text, 4096);
    json_t *object = json_loads(end + 1, 0, NULL);
    ck_assert_ptr_nonnull(object);
    json_decref(object);
}
