// What a person reads who got an option wrong: one line that names the option, where it stands, and what to
// write.
#include "gateway/process/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

static struct config config;
static char error[512];

static bool load(const char *const *arguments)
{
    static char *argv[40];
    int argc = 1;
    argv[0] = (char *)(uintptr_t) "sse-gateway";
    for (; *arguments; arguments++)
        argv[argc++] = (char *)(uintptr_t)*arguments;
    argv[argc] = NULL;
    error[0] = '\0';
    return config_load(&config, argc, argv, error, sizeof error);
}

// Nothing is left to free then: LeakSanitizer is the witness.
static void check_refused(const char *const *arguments, const char *expected)
{
    ck_assert_msg(!load(arguments), "taken, and not: %s", expected);
    ck_assert_str_eq(error, expected);
    ck_assert_ptr_null(strchr(error, '\n'));
}

static void setup(void)
{
    clearenv();
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup);

#define NO_ADDRESS " is no address; write for example 127.0.0.1:8080, [::1]:8080 or unix:/run/sse.sock"
#define NO_DURATION " is not a duration; write for example 15s, 500ms, 2m or 1h"
#define NO_SIZE " is not a size; write for example 4096, 256KiB or 1MiB"
#define NO_NUMBER " is not a whole number; write for example 64"
#define NO_ORIGIN " is no origin; write for example https://app.example.com"
#define NO_RANGE " is no address or range of addresses; write for example 10.0.0.0/8, 2001:db8::7 or unix"
#define NO_ID " is no id; use 1 to 128 printable ASCII characters without blanks and quotes"
#define NO_RULE " is not auto, text, envelope or PATTERN=MODE; write for example chat:*=text"
#define IS_PAGE                                                                                              \
    " is where the gateway has pages of its own (/health, /metrics, /dashboard, /ticket); write for "        \
    "example /stream"
#define NO_PASSWORD                                                                                          \
    "--redis: there is a user but no password; write it redis://USER:PASSWORD@HOST, or give "                \
    "--redis-password-file; a password alone is written redis://:PASSWORD@HOST"
#define NO_SCHEME                                                                                            \
    "it must begin with redis://, redis+unix://, redis+sentinel:// or redis+cluster://; with TLS rediss "    \
    "instead of redis"

#define NO_TIME                                                                                              \
    "--drain-delay and --drain-window together leave less than 100 ms of --drain-timeout: streams would be " \
    "cut; raise --drain-timeout"

static const struct {
    const char *option, *value, *said;
} wrong[] = {
    {"token-query", "source", "\"source\" is no name for a parameter; write for example access_token"},
    {"id", "", "\"\"" NO_ID},
    {"id", "a b", "\"a b\"" NO_ID},
    {"id", "a\"", "\"a\"\"" NO_ID},
    {"id", "caf\xc3\xa9", "\"caf\xc3\xa9\"" NO_ID},
    {"workers", "0", "\"0\" is too small; the least is 1"},
    {"workers", "64", "\"64\" is too large; the most is 63"},
    {"workers", "-1", "\"-1\"" NO_NUMBER},
    {"workers", "1.5", "\"1.5\"" NO_NUMBER},
    {"workers", "99999999999999999999", "\"99999999999999999999\" is too large; the most is 63"},
    {"listen", "8080", "\"8080\"" NO_ADDRESS},
    {"listen", "localhost:8080", "\"localhost:8080\"" NO_ADDRESS},
    {"listen", "::1:8080", "\"::1:8080\"" NO_ADDRESS},
    {"listen", "unix:", "\"unix:\" is no unix socket; its path has 1 to 107 bytes"},
    {"admin-listen", "no", "\"no\"" NO_ADDRESS},
    {"admin-listen", "", "\"\"" NO_ADDRESS},
    {"path", "stream", "\"stream\" is no path for streams; write for example /stream"},
    {"path", "/", "\"/\" is no path for streams; write for example /stream"},
    {"path", "/a/", "\"/a/\" is no path for streams; write for example /stream"},
    {"path", "/a?b", "\"/a?b\" is no path for streams; write for example /stream"},
    {"path", "/a/../b", "\"/a/../b\" is no path for streams; write for example /stream"},
    {"path", "/a/.", "\"/a/.\" is no path for streams; write for example /stream"},
    {"path", "/caf\xc3\xa9", "\"/caf\xc3\xa9\" is no path for streams; write for example /stream"},
    {"path", "/health", "\"/health\"" IS_PAGE},
    {"path", "/health/live", "\"/health/live\"" IS_PAGE},
    {"path", "/health/x/y", "\"/health/x/y\"" IS_PAGE},
    {"path", "/metrics", "\"/metrics\"" IS_PAGE},
    {"path", "/dashboard", "\"/dashboard\"" IS_PAGE},
    {"redis", "", NO_SCHEME},
    {"redis", "localhost:6379", NO_SCHEME},
    {"redis", "redis://user:secret@h:x", "the port is not a number from 1 to 65535"},
    {"max-message", "0", "\"0\" is too small; the least is 1"},
    {"max-message", "1GiB", "\"1GiB\" is too large; the most is 512MiB"},
    {"max-message", "1MB", "\"1MB\"" NO_SIZE},
    {"payload", "json", "\"json\"" NO_RULE},
    {"payload", "a b=text", "\"a b=text\"" NO_RULE},
    {"backlog-limit", "1023KiB", "\"1023KiB\" is too small; the least is 1MiB"},
    {"replay-limit", "1023KiB", "\"1023KiB\" is too small; the least is 1MiB"},
    {"durable", "user:{", "\"user:{\" is no channel pattern; write for example news or public:*"},
    {"trusted-proxy", "10.0.0.1/8", "\"10.0.0.1/8\"" NO_RANGE},
    {"trusted-proxy", "proxy.example.com", "\"proxy.example.com\"" NO_RANGE},
    {"channels-header", "X Channels",
     "\"X Channels\" is no name of a header; write for example X-SSE-Channels"},
    {"anonymous", "a b", "\"a b\" is no channel pattern; write for example news or public:*"},
    {"anonymous", "*:news", "\"*:news\" is no channel pattern; write for example news or public:*"},
    {"cors-origin", "app.example.com", "\"app.example.com\"" NO_ORIGIN},
    {"cors-origin", "https://app.example.com/",
     "\"https://app.example.com/\" has more than scheme, host and port; write https://app.example.com"},
    {"cors-origin", "https://*.example.com/x",
     "\"https://*.example.com/x\" has more than scheme, host and port; write https://*.example.com"},
    {"cors-origin", "https://a.*.example.com",
     "\"https://a.*.example.com\" has a * that matches nothing; write each origin, or https://*.example.com "
     "for "
     "all hosts below example.com, or * alone for all"},
    {"cors-origin", "https://*.com",
     "\"https://*.com\" has a * for all hosts of a top-level domain; write at least two labels behind it, "
     "for "
     "example https://*.example.com"},
    {"max-connections", "0", "\"0\" is too small; the least is 1"},
    {"max-channels", "4097", "\"4097\" is too large; the most is 4096"},
    {"queue-limit", "0", "\"0\" is too small; the least is 1"},
    {"slow-client", "drop", "\"drop\" is none of close, drop-oldest"},
    {"refusal", "503", "\"503\" is none of retry, status"},
    {"heartbeat", "0s", "\"0s\" is too small; the least is 250ms"},
    {"heartbeat", "15", "\"15\"" NO_DURATION},
    {"retry", "25h", "\"25h\" is too large; the most is 24h"},
    {"drain-timeout", "-1s", "\"-1s\"" NO_DURATION},
    {"log-level", "verbose", "\"verbose\" is none of debug, info, warn, error"},
    {"log-format", "JSON", "\"JSON\" is none of text, json"},
    {"log-buffer", "4095", "\"4095\" is too small; the least is 8KiB"},
};

TEST_EACH(a_wrong_value_is_named_with_its_option_wherever_it_stands, wrong)
{
    const char *option = wrong[_i].option, *value = wrong[_i].value, *path = scratch_path("config.ini");
    char text[256], variable[64], expected[512];
    snprintf(text, sizeof text, "--%s=%s", option, value);
    snprintf(expected, sizeof expected, "--%s: %s", option, wrong[_i].said);
    check_refused((const char *[]){"--anonymous=a", text, NULL}, expected);

    FILE *f = fopen(path, "w");
    fprintf(f, "# a comment\n\n%s = %s\n", option, value);
    fclose(f);
    snprintf(text, sizeof text, "--config=%s", path);
    snprintf(expected, sizeof expected, "%s:3: %s: %s", path, option, wrong[_i].said);
    check_refused((const char *[]){text, NULL}, expected);

    if (*value == '\0')
        return; // an empty variable counts as not set
    size_t len = (size_t)snprintf(variable, sizeof variable, "SSE_GATEWAY_%s", option);
    for (size_t i = 0; i < len; i++)
        variable[i] = variable[i] == '-' ? '_' : variable[i] >= 'a' ? (char)(variable[i] - 32) : variable[i];
    setenv(variable, value, 1);
    snprintf(expected, sizeof expected, "%s: %s", variable, wrong[_i].said);
    check_refused((const char *[]){NULL}, expected);
}

static const struct {
    const char *arguments[5];
    const char *said;
} lines[] = {
    {{NULL},
     "nobody could subscribe to anything: open channels to all with --anonymous PATTERN (for example "
     "--anonymous "
     "'public:*'), or to tokens with --jwt-secret-file, --jwt-key or --jwks"},
    {{"--anonymous=", NULL},
     "nobody could subscribe to anything: open channels to all with --anonymous PATTERN (for example "
     "--anonymous "
     "'public:*'), or to tokens with --jwt-secret-file, --jwt-key or --jwks"},
    {{"--anonymous=a", "--subject-header=X-User", NULL},
     "--subject-header: nobody is believed: name the proxy with --trusted-proxy"},
    {{"--channels-header=X-Channels", NULL},
     "--channels-header: nobody is believed: name the proxy with --trusted-proxy"},
    {{"--anonymous=a", "--connect-burst=5", NULL}, "--connect-burst: give --connect-rate, too"},
    {{"--anonymous=a", "--drain-delay=25s", "--drain-window=5001ms", NULL}, NO_TIME},
    {{"--anonymous=a", "--drain-timeout=10s", "--drain-window=9901ms", NULL}, NO_TIME},
    {{"--anonymous=a", "--drain-timeout=9s", "--drain-window=10s", NULL}, NO_TIME},
    {{"--anonymous=a", "--drain-delay=31s", NULL},
     "--drain-delay is longer than --drain-timeout: streams would be cut; raise --drain-timeout"},
    {{"--anonymous=a", "--listen=", NULL}, "--listen: give 1 to 16 addresses"},
    {{"--anonymous=a", "--cors-origin=*", "--cors-origin=https://a", NULL},
     "--cors-origin: * stands alone or not at all"},
    {{"--anonymous=a", "--cors-origin=https://a", "--cors-origin=*", NULL},
     "--cors-origin: * stands alone or not at all"},
    {{"--anonymous=a", "--durable=off", "--durable=user:*", NULL},
     "--durable: off stands alone or not at all"},
    {{"--anonymous=a", "--durable=user:*", "--durable=off", NULL},
     "--durable: off stands alone or not at all"},
    {{"--anonymous=a", "--payload=text", "--payload=a:*=envelope", NULL},
     "--payload: the first rule that matches counts, and text matches every channel: put it last"},
    {{"--anonymous=a", "--payload=*=auto", "--payload=text", NULL},
     "--payload: the first rule that matches counts, and *=auto matches every channel: put it last"},
    {{"--anonymous=a", "--redis=redis://bob@h", NULL}, NO_PASSWORD},
    {{"--anonymous=a", "--redis=redis+sentinel://bob@h/main", NULL}, NO_PASSWORD},
    {{"--anonymous=a", "--redis=redis+unix://bob@/run/redis.sock", NULL}, NO_PASSWORD},
    {{"--anonymous=a", "stray", NULL}, "\"stray\" is no option; try --help"},
    {{"--anonymous=a", "--hearbeat=1s", NULL}, "unknown option --hearbeat; did you mean --heartbeat?"},
    {{"--anonymous=a", "--heart=1s", NULL}, "unknown option --heart; did you mean --heartbeat?"},
    {{"--anonymous=a", "--frobnicate", NULL}, "unknown option --frobnicate; --help lists all"},
    {{"--anonymous=a", "-x", NULL}, "unknown option -x; if it is no option, put -- before it"},
    {{"--anonymous", NULL}, "--anonymous needs a value: --anonymous PATTERN"},
    {{"--anonymous=a", "--print-config=maybe", NULL}, "--print-config: \"maybe\" is neither yes nor no"},
    {{"--anonymous=a", "--config=/nonexistent", NULL},
     "cannot read the configuration /nonexistent: No such file or directory"},
    {{"--anonymous=a", "--redis-password-file=/nonexistent", NULL},
     "--redis-password-file: cannot read /nonexistent: No such file or directory"},
    {{"--anonymous=a", "--redis-password-file=/dev/null", NULL},
     "--redis-password-file: /dev/null must hold one line of 1 to 512 bytes"},
    {{"--anonymous=a", "--redis-sentinel-password-file=/dev/null", NULL},
     "--redis-sentinel-password-file: the URL of --redis names no sentinels; write it redis+sentinel://"},
    {{"--anonymous=a", "--redis=redis+sentinel://h/main", "--redis-sentinel-password-file=/dev/null", NULL},
     "--redis-sentinel-password-file: /dev/null must hold one line of 1 to 512 bytes"},
    {{"--anonymous=a", "--redis-ca=/x", NULL},
     "--redis-ca: the URL of --redis is not one of TLS; write it rediss://"},
    {{"--anonymous=a", "--redis=rediss://h", "--redis-ca=/nonexistent", NULL},
     "--redis-ca: cannot use /nonexistent: No such file or directory"},
    {{"--anonymous=a", "--redis=rediss+sentinel://h/main", "--redis-cert=/x", NULL},
     "--redis-cert: --redis-cert and --redis-key belong together"},
    {{"--anonymous=a", "--redis=rediss://h", "--redis-key=/x", NULL},
     "--redis-key: --redis-cert and --redis-key belong together"},
    {{"--anonymous=a", "--redis=rediss://h", "--redis-cert=/nonexistent", "--redis-key=/x"},
     "--redis-cert: cannot use /nonexistent: No such file or directory"},
    {{"--anonymous=a", "--tls-cert=/x", NULL},
     "--tls-cert and --tls-key are pairs: 1 certificates and 0 keys are given"},
    {{"--anonymous=a", "--tls-client-ca=/x", NULL}, "--tls-client-ca needs --tls-cert and --tls-key"},
    {{"--anonymous=a", "--tls-ticket-keys=/x", NULL}, "--tls-ticket-keys needs --tls-cert and --tls-key"},
    {{"--anonymous=a", "--tls-cert=/nonexistent", "--tls-key=/x"},
     "--tls-cert: cannot use /nonexistent: No such file or directory"},
};

TEST_EACH(what_cannot_be_is_said_in_one_line, lines)
{
    check_refused(lines[_i].arguments, lines[_i].said);
}

TEST(too_many_addresses_are_refused)
{
    static char texts[17][32];
    const char *arguments[20] = {"--anonymous=a"};
    for (int i = 0; i < 17; i++) {
        snprintf(texts[i], sizeof *texts, "--listen=127.0.0.1:%d", i + 1);
        arguments[i + 1] = texts[i];
    }
    check_refused(arguments, "--listen: give 1 to 16 addresses");
    arguments[17] = NULL;
    ck_assert_msg(load(arguments), "%s", error);
    config_free(&config);
}

static const struct {
    const char *text, *said; // behind the file's name and ":"
} files[] = {
    {"frobnicate = 1\n", "1: unknown option \"frobnicate\""},
    {"\n\nhearbeat = 1s\n", "3: unknown option \"hearbeat\"; did you mean \"heartbeat\"?"},
    {"config = /x\n", "1: \"config\" cannot be given in a file"},
    {"print-config = yes\n", "1: \"print-config\" cannot be given in a file"},
    {"help = yes\n", "1: \"help\" cannot be given in a file"},
    {"retry = 1s\nretry = 2s\n", "2: \"retry\" is given a second time"},
    {"retry\n", "1: expected a line like: name = value"},
    {"= 1s\n", "1: expected a line like: name = value"},
    {"[general\n", "1: a section is written [name]"},
};

TEST_EACH(a_wrong_line_of_a_file_is_named_by_its_number, files)
{
    const char *path = scratch_path("wrong.ini");
    char flag[256], expected[512];
    FILE *f = fopen(path, "w");
    fputs(files[_i].text, f);
    fclose(f);
    snprintf(flag, sizeof flag, "--config=%s", path);
    snprintf(expected, sizeof expected, "%s:%s", path, files[_i].said);
    check_refused((const char *[]){"--anonymous=a", flag, NULL}, expected);
}

// How many bytes, and how the line ends.
static const struct {
    size_t bytes;
    const char *end;
    bool good;
} passwords[] = {
    {1, "", true},     {6, "\n", true},     {6, "\r\n", true},     {512, "", true},
    {512, "\n", true}, {512, "\r\n", true}, {513, "", false},      {513, "\n", false},
    {0, "\n", false},  {0, "", false},      {100000, "\n", false},
};

TEST_EACH(a_password_is_the_line_of_its_file_without_the_end, passwords)
{
    const char *path = scratch_path("password");
    char flag[256], expected[512], *password = calloc(1, passwords[_i].bytes + 1);
    memset(password, 'p', passwords[_i].bytes);
    FILE *f = fopen(path, "w");
    fprintf(f, "%s%s", password, passwords[_i].end);
    fclose(f);
    snprintf(flag, sizeof flag, "--redis-password-file=%s", path);
    const char *arguments[] = {"--anonymous=a", "--redis=redis://:other@h", flag, NULL};
    if (passwords[_i].good) {
        ck_assert_msg(load(arguments), "%s", error);
        ck_assert_str_eq(config.redis_url.password, password);
        config_free(&config);
    } else {
        snprintf(expected, sizeof expected, "--redis-password-file: %s must hold one line of 1 to 512 bytes",
                 path);
        check_refused(arguments, expected);
    }
    free(password);
}

static const struct {
    const char *delay, *timeout;
    uint64_t window_ms;
} windows[] = {
    {"--drain-delay=0s", "--drain-timeout=30s", 10000}, {"--drain-delay=15s", "--drain-timeout=30s", 10000},
    {"--drain-delay=20s", "--drain-timeout=30s", 8000}, {"--drain-delay=0s", "--drain-timeout=5s", 4000},
    {"--drain-delay=5s", "--drain-timeout=5s", 0},      {"--drain-delay=0s", "--drain-timeout=0s", 0},
};

TEST_LOOP(a_drain_window_that_nobody_chose_fits_into_the_timeout, 0, sizeof windows / sizeof *windows)
{
    ck_assert_msg(load((const char *[]){"--anonymous=a", windows[_i].delay, windows[_i].timeout, NULL}), "%s",
                  error);
    ck_assert_uint_eq(config.drain_window_ms, windows[_i].window_ms);
    config_free(&config);
}
