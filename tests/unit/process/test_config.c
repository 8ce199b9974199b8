// Each option by flag, environment and file; what is printed is what is in force; every refusal says what to
// do.
#include "gateway/process/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/option_value.h"
#include "gateway/client/listener.h"
#include "gateway/threads/worker.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

#define ARGUMENTS_MAX 40

static struct config config;
static char error[512];
static char *argv[ARGUMENTS_MAX];
static int argc;

static void setup(void)
{
    clearenv();
    argv[0] = (char *)(uintptr_t) "sse-gateway";
    argc = 1;
}

static void teardown(void)
{
    config_free(&config);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static void argument(const char *text)
{
    ck_assert_int_lt(argc, ARGUMENTS_MAX - 1);
    argv[argc++] = (char *)(uintptr_t)text;
    argv[argc] = NULL;
}

static bool load(void)
{
    config_free(&config);
    error[0] = '\0';
    return config_load(&config, argc, argv, error, sizeof error);
}

#define LOAD(...)                                                                                            \
    do {                                                                                                     \
        static const char *const arguments[] = {"--anonymous=news", __VA_ARGS__};                            \
        for (size_t a = 0; a < sizeof arguments / sizeof *arguments; a++)                                    \
            argument(arguments[a]);                                                                          \
        ck_assert_msg(load(), "%s", error);                                                                  \
    } while (0)

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

// What --print-config prints; the caller frees.
static char *printed(void)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    options_print_config(config_options(), &config, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static const struct {
    const char *name;
    const char *flag, *environment, *file; // three different values, as they are printed, too
} options[] = {
    {"id", "gw-a", "gw-b", "gw-c"},
    {"workers", "1", "2", "63"},
    {"seccomp", "yes", "no", "yes"},
    {"show-channels", "yes", "no", "yes"},
    {"listen", "127.0.0.1:1", "[::1]:2", "unix:/tmp/x.sock"},
    {"admin-listen", "off", "127.0.0.1:1", "unix:/tmp/y.sock"},
    {"listen-mode", "0600", "666", "0606"},
    {"listen-group", "0", "0", "0"},
    {"path", "/a", "/b/c", "/d"},
    {"redis", "redis://a:1/2", "redis+unix:///tmp/redis.sock", "redis://[::1]:7"},
    {"pubsub", "classic", "sharded", "auto"},
    {"redis-password-file", "@1", "@2", "@3"},
    {"redis-sentinel-password-file", "@1", "@2", "@3"},
    {"max-message", "1", "1KiB", "512MiB"},
    {"payload", "text", "chat:*=envelope", "auto"},
    {"backlog-limit", "1MiB", "2MiB", "64GiB"},
    {"durable", "off", "user:*", "orders"},
    {"replay-limit", "1MiB", "2MiB", "64GiB"},
    {"anonymous", "*", "a", "b:*"},
    {"jwks", "https://a.example/keys", "https://b.example:8443/", "https://[::1]/jwks.json"},
    {"jwt-algorithms", "ES256", "EdDSA", "HS512"},
    {"jwt-issuer", "https://a.example", "b", "c"},
    {"jwt-audience", "sse", "b", "c"},
    {"channels-claim", "scope", "https://a.example/channels", "c"},
    {"grant", "user:{sub}:*", "all", "team:{team}"},
    {"token-cookie", "off", "__Host-t", "t"},
    {"token-query", "access_token", "t", "off"},
    {"revocation", "off", "on", "off"},
    {"cors-origin", "*", "https://a.example", "http://localhost:3000"},
    {"max-connections", "1", "2", "100000000"},
    {"max-connections-per-user", "1", "2", "1000000"},
    {"user-cap-scope", "gateway", "gateway", "gateway"},
    {"user-cap-policy", "oldest", "refuse", "oldest"},
    {"max-connections-per-ip", "1", "2", "1000000"},
    {"connect-rate", "1", "2", "1000000"},
    {"connect-burst", "1", "2", "1000000"},
    {"trusted-proxy", "10.0.0.0/8", "unix", "2001:db8::/32"},
    {"proxy-protocol", "v1", "v2", "any"},
    {"channels-header", "X-A", "X-B", "x_c"},
    {"subject-header", "X-A", "X-B", "x_c"},
    {"max-channels", "1", "2", "4096"},
    {"queue-limit", "1", "1023", "1GiB"},
    {"slow-client", "drop-oldest", "close", "drop-oldest"},
    {"refusal", "status", "retry", "status"},
    {"heartbeat", "250ms", "1m", "24h"},
    {"retry", "1ms", "3s", "24h"},
    {"retry-jitter", "0s", "3s", "24h"},
    {"max-stream-age", "0s", "1h", "168h"},
    {"drain-delay", "0s", "1s", "17s"}, // of more, --drain-window would follow
    {"drain-window", "0s", "500ms", "20s"},
    {"drain-timeout", "13s", "31s", "24h"}, // of less, --drain-window would follow
    {"rebalance", "on", "dry-run", "off"},
    {"rebalance-tolerance", "0.01", "0.25", "1"},
    {"rebalance-rate", "1/s", "500/s", "1000000/s"},
    {"rebalance-settle", "1s", "30s", "1h"},
    {"log-level", "debug", "warn", "error"},
    {"log-format", "json", "text", "json"},
    {"log-buffer", "64KiB", "128KiB", "1MiB"},
    {"access-log", "yes", "no", "yes"},
};
enum { OPTIONS = sizeof options / sizeof *options };

// Not by environment and file.
static const char *const command_line_only[] = {"config",      "check-config", "print-config",
                                                "healthcheck", "version",      "help"};

// These need certificates or keys: tests/integration/redis_tls, tls and tokens make some.
static const char *const of_tls[] = {"redis-ca", "redis-cert",      "redis-key",       "jwt-key",
                                     "jwks-ca",  "jwt-secret-file", "ticket-key-file", "tls-cert",
                                     "tls-key",  "tls-client-ca",   "tls-ticket-keys"};

TEST(every_option_is_in_this_test)
{
    const struct option_table *table = config_options();
    ck_assert_uint_eq(table->count, OPTIONS + sizeof command_line_only / sizeof *command_line_only +
                                        sizeof of_tls / sizeof *of_tls);
    for (size_t i = 0; i < OPTIONS; i++) {
        size_t at = 0;
        while (at < table->count && strcmp(table->specs[at].name, options[i].name) != 0)
            at++;
        ck_assert_msg(at < table->count, "no option --%s", options[i].name);
    }
}

// A value of the table; "@1" stands for a file that is there.
static const char *value_of(const char *text)
{
    if (*text != '@')
        return text;
    const char *path = scratch_path(text);
    write_file(path, "secret\n");
    return path;
}

static void give(const char *name, const char *flag, const char *environment, const char *file)
{
    static char texts[3][256], variable[64];
    argc = 1;
    clearenv();
    if (strcmp(name, "anonymous") != 0)
        argument("--anonymous=news");
    if (strcmp(name, "redis-sentinel-password-file") == 0)
        argument("--redis=redis+sentinel://h/main"); // it would be refused without
    if (strstr(name, "-header"))
        argument("--trusted-proxy=10.0.0.1"); // likewise
    if (strcmp(name, "connect-burst") == 0)
        argument("--connect-rate=1"); // likewise
    if (flag) {
        snprintf(texts[0], sizeof *texts, "--%s=%s", name, value_of(flag));
        argument(texts[0]);
    }
    snprintf(variable, sizeof variable, "SSE_GATEWAY_%s", name);
    for (char *c = variable; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    if (environment)
        ck_assert_int_eq(setenv(variable, value_of(environment), 1), 0);
    if (file) {
        snprintf(texts[1], sizeof *texts, "%s = %s\n", name, value_of(file));
        write_file(scratch_path("config.ini"), texts[1]);
        snprintf(texts[2], sizeof *texts, "--config=%s", scratch_path("config.ini"));
        argument(texts[2]);
    }
}

// Takes the lines of an option out of `text`, and returns them.
static char *cut_lines(char *text, const char *name)
{
    char prefixes[2][64], *rest, *lines = calloc(1, strlen(text) + 1), *others = calloc(1, strlen(text) + 1);
    snprintf(prefixes[0], sizeof *prefixes, "%s =", name);
    snprintf(prefixes[1], sizeof *prefixes, "# %s is not set", name);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        bool ours = strncmp(line, prefixes[0], strlen(prefixes[0])) == 0 ||
                    strncmp(line, prefixes[1], strlen(prefixes[1])) == 0;
        strcat(ours ? lines : others, line);
        strcat(ours ? lines : others, "\n");
    }
    strcpy(text, others);
    free(others);
    return lines;
}

static void check_in_force(size_t i, const char *value)
{
    char expected[256];
    ck_assert_msg(load(), "%s", error);
    char *now = printed(), *lines = cut_lines(now, options[i].name);
    snprintf(expected, sizeof expected, "%s = %s\n", options[i].name, value_of(value));
    ck_assert_str_eq(lines, expected);
    free(lines);
    // Nothing else has changed.
    give(options[i].name, options[i].flag, NULL, NULL);
    if (strcmp(options[i].name, "anonymous") != 0)
        give(options[i].name, NULL, NULL, NULL);
    ck_assert_msg(load(), "%s", error);
    char *before = printed();
    free(cut_lines(before, options[i].name));
    ck_assert_str_eq(now, before);
    free(now);
    free(before);
}

TEST_LOOP(an_option_is_taken_from_each_source_and_changes_nothing_else, 0, OPTIONS)
{
    const char *name = options[_i].name, *flag = options[_i].flag, *environment = options[_i].environment,
               *file = options[_i].file;
    give(name, flag, NULL, NULL);
    check_in_force((size_t)_i, flag);
    give(name, NULL, environment, NULL);
    check_in_force((size_t)_i, environment);
    give(name, NULL, NULL, file);
    check_in_force((size_t)_i, file);
}

TEST_LOOP(flag_goes_over_environment_and_environment_over_file, 0, OPTIONS)
{
    const char *name = options[_i].name, *flag = options[_i].flag, *environment = options[_i].environment,
               *file = options[_i].file;
    give(name, flag, environment, file);
    check_in_force((size_t)_i, flag);
    give(name, NULL, environment, file);
    check_in_force((size_t)_i, environment);
}

TEST(the_defaults_are_those_of_the_contract)
{
    LOAD("--id=x");
    ck_assert_uint_eq(config.listen.count, 1);
    ck_assert_str_eq(config.listen.items[0], "0.0.0.0:8080");
    ck_assert_str_eq(config.admin_listen, "127.0.0.1:9180");
    ck_assert_str_eq(config.path, "/stream");
    ck_assert_str_eq(config.redis.url, "redis://127.0.0.1:6379");
    ck_assert_uint_eq(config.max_channels, 64);
    ck_assert_int_eq(config.refusal, REFUSAL_RETRY);
    ck_assert_int_eq(config.slow_client, SLOW_CLIENT_CLOSE);
    ck_assert_uint_eq(config.heartbeat_ms, 15000);
    ck_assert_uint_eq(config.retry_ms, 2000);
    ck_assert_uint_eq(config.queue_limit, 256 << 10);
    ck_assert_uint_eq(config.max_message, 1 << 20);
    ck_assert_uint_eq(config.drain_timeout_ms, 30000);
    ck_assert_int_eq(config.rebalance, 0);
    ck_assert_double_eq(config.tolerance, 0.1);
    ck_assert_uint_eq(config.rebalance_per_s, 50);
    ck_assert_uint_ge(config.workers, 1);
    ck_assert_uint_le(config.workers, WORKERS_MAX);
    ck_assert(!config.check_config && !config.print_config && !config.healthcheck && !config.version &&
              !config.help);
    ck_assert_ptr_null(config.redis_url.password);
}

// The table names offsets: two that are mixed up would print well.
TEST(values_land_in_the_fields_that_are_named_after_them)
{
    LOAD("--id=gw", "--workers=3", "--listen=127.0.0.1:1", "--admin-listen=off", "--path=/p",
         "--redis=redis://h:1", "--max-message=4", "--payload=a=text", "--backlog-limit=5MiB",
         "--cors-origin=https://o", "--max-connections=6", "--max-channels=7", "--queue-limit=8",
         "--slow-client=drop-oldest", "--refusal=status", "--heartbeat=9s", "--retry=10s",
         "--drain-timeout=11s", "--log-level=error", "--log-format=json", "--check-config", "--print-config");
    ck_assert_str_eq(config.id, "gw");
    ck_assert_uint_eq(config.workers, 3);
    ck_assert_str_eq(config.listen.items[0], "127.0.0.1:1");
    ck_assert_str_eq(config.admin_listen, "off");
    ck_assert_str_eq(config.path, "/p");
    ck_assert_str_eq(config.redis_url.endpoints[0].host, "h");
    ck_assert_uint_eq(config.max_message, 4);
    ck_assert_uint_eq(config.payload.count, 1);
    ck_assert_int_eq(config.payload.rules[0].mode, PAYLOAD_TEXT);
    ck_assert_uint_eq(config.backlog_limit, 5 << 20);
    ck_assert_str_eq(config.cors_origin.items[0], "https://o");
    ck_assert_uint_eq(config.max_connections, 6);
    ck_assert_uint_eq(config.max_channels, 7);
    ck_assert_uint_eq(config.queue_limit, 8);
    ck_assert_int_eq(config.slow_client, SLOW_CLIENT_DROP_OLDEST);
    ck_assert_int_eq(config.refusal, REFUSAL_STATUS);
    ck_assert_uint_eq(config.heartbeat_ms, 9000);
    ck_assert_uint_eq(config.retry_ms, 10000);
    ck_assert_uint_eq(config.drain_timeout_ms, 11000);
    ck_assert_int_eq(config.log_level, 3);
    ck_assert_int_eq(config.log_format, 1);
    ck_assert(config.check_config && config.print_config);
    ck_assert_str_eq(config.anonymous.items[0], "news");
}

TEST(a_health_check_reads_no_files)
{
    LOAD("--healthcheck", "--tls-cert=/nonexistent", "--tls-key=/nonexistent");
    ck_assert(config.healthcheck);
}

static void check_round_trip(void)
{
    char *first = printed(), flag[256];
    const char *path = scratch_path("printed.ini");
    write_file(path, first);
    snprintf(flag, sizeof flag, "--config=%s", path);
    argc = 1;
    clearenv();
    argument(flag);
    ck_assert_msg(load(), "%s", error);
    char *second = printed();
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}

TEST(what_is_printed_reads_back_as_the_same)
{
    LOAD("--log-level=info");
    check_round_trip();
    for (size_t i = 0; i < OPTIONS; i++) {
        give(options[i].name, options[i].flag, NULL, NULL);
        ck_assert_msg(load(), "%s", error);
        check_round_trip();
    }
}

TEST(lists_and_odd_values_are_printed_so_that_they_read_back)
{
    LOAD("--anonymous=a:*", "--anonymous=b", "--listen=127.0.0.1:1", "--listen=[::1]:2",
         "--cors-origin=https://a", "--cors-origin=https://b", "--payload=a:*=text", "--payload=envelope",
         "--heartbeat=1500ms", "--queue-limit=1025", "--path=/a;b=c");
    check_round_trip();
    ck_assert_uint_eq(config.anonymous.count, 3);
    ck_assert_uint_eq(config.listen.count, 2);
    ck_assert_uint_eq(config.payload.count, 2);
    ck_assert_uint_eq(config.heartbeat_ms, 1500);
}

TEST(origins_are_compared_and_printed_as_browsers_send_them)
{
    LOAD("--cors-origin=HTTPS://App.Example:443", "--cors-origin=http://localhost:3000");
    check_round_trip();
    ck_assert_str_eq(config.cors_origin.items[0], "https://app.example");
    ck_assert_str_eq(config.cors_origin.items[1], "http://localhost:3000");
}

TEST(channels_have_histories_as_durable_says)
{
    LOAD("--retry=1s");
    ck_assert(!config.durable_named);
    ck_assert_uint_eq(config.durable_count, 1);
    ck_assert_str_eq(config.durable_patterns[0], "*");
    LOAD("--durable=a:*", "--durable=b");
    ck_assert(config.durable_named);
    ck_assert_uint_eq(config.durable_count, 2);
    ck_assert_str_eq(config.durable_patterns[1], "b");
    argc = 1;
    LOAD("--durable=off");
    ck_assert(!config.durable_named);
    ck_assert_uint_eq(config.durable_count, 0);
}

TEST(a_user_without_a_password_in_the_url_has_one_in_a_file)
{
    const char *path = scratch_path("password");
    char flag[256];
    write_file(path, "secret\n");
    snprintf(flag, sizeof flag, "--redis-password-file=%s", path);
    argument(flag);
    LOAD("--redis=redis://bob@h");
    ck_assert_str_eq(config.redis_url.user, "bob");
    ck_assert_str_eq(config.redis_url.password, "secret");
    argc = 1;
    LOAD("--redis=redis://bob:@h"); // Redis calls it nopass
    ck_assert_str_eq(config.redis_url.password, "");
}

TEST(no_password_is_printed)
{
    LOAD("--redis=redis://user:pass%40word@host:1/2");
    char *text = printed();
    ck_assert_ptr_null(strstr(text, "pass%"));
    ck_assert_ptr_null(strstr(text, "pass@"));
    ck_assert_ptr_null(strstr(text, "user:pass"));
    ck_assert_ptr_nonnull(strstr(text, "# redis = redis://(set)@host:1/2\n"));
    ck_assert_str_eq(config.redis_url.password, "pass@word");
    free(text);
}

TEST(without_an_id_the_gateway_is_named_by_host_and_port)
{
    char host[256], expected[300];
    ck_assert_int_eq(gethostname(host, sizeof host), 0);
    LOAD("--listen=127.0.0.1:4711", "--listen=127.0.0.1:1");
    snprintf(expected, sizeof expected, "%s:4711", host);
    ck_assert_str_eq(config.name, expected);
    LOAD("--id=given");
    ck_assert_str_eq(config.name, "given");
}

// It goes into a response head and into the labels of metrics.
TEST(a_derived_name_is_as_plain_as_an_id_must_be)
{
    LOAD("--listen=unix:/tmp/a \"b\"\\\r\nX: y");
    ck_assert_uint_gt(strlen(config.name), 0);
    ck_assert_ptr_null(strpbrk(config.name, " \"\\\r\n"));
}

TEST_LOOP(help_and_version_need_nothing_else, 0, 2)
{
    argument(_i == 0 ? "--help" : "--version");
    argument("--no-such-option");
    ck_assert(load());
    ck_assert(config.help == (_i == 0) && config.version == (_i == 1));
}

TEST(help_shows_every_option_once_and_every_heading_once)
{
    const struct option_table *table = config_options();
    char *text, mark[80];
    size_t len;
    FILE *out = open_memstream(&text, &len);
    options_print_help(table, out);
    fclose(out);
    for (size_t i = 0; i < table->count; i++) {
        const char *argument = option_value_argument(&table->specs[i]);
        snprintf(mark, sizeof mark, "--%s%s%s\n", table->specs[i].name, argument ? " " : "",
                 argument ? argument : "");
        mark[strlen(mark) - 1] = '\0';
        ck_assert_msg(strstr(text, mark) != NULL, "%s is not in --help", mark);
        if (!table->specs[i].group)
            continue;
        snprintf(mark, sizeof mark, "\n%s:\n", table->specs[i].group);
        const char *heading = strstr(text, mark);
        ck_assert_ptr_nonnull(heading);
        ck_assert_msg(!strstr(heading + 1, mark), "the heading %s is there twice", table->specs[i].group);
    }
    free(text);
}
