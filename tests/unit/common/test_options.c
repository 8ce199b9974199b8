#include "common/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

enum color { RED, GREEN };
static const char *const colors[] = {"red", "green", NULL};

struct settings {
    char *config, *name, *token, *url;
    struct option_list listen, grant;
    uint64_t channels, limit, heartbeat, retry;
    double tolerance;
    int color;
    bool quiet, help;
};

static bool check_listen(const char *text, char *error, size_t error_size)
{
    if (strchr(text, ':'))
        return true;
    snprintf(error, error_size, "is no address; write ADDR:PORT");
    return false;
}

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    {.name = "help",
     .letter = 'h',
     .group = "General",
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(help),
     .help = "Says this."},
    {.name = "config", .argument = "FILE", .type = OPTION_STRING, AT(config), .help = "Reads FILE."},
    {.name = "name",
     .argument = "NAME",
     .group = "Server",
     .type = OPTION_STRING,
     AT(name),
     .default_note = "the host",
     .help = "A name."},
    {.name = "listen",
     .argument = "ADDR:PORT",
     .type = OPTION_LIST,
     AT(listen),
     .default_text = "0.0.0.0:8080, [::]:8080",
     .check = check_listen,
     .help = "Listens there."},
    {.name = "grant", .argument = "PATTERN", .type = OPTION_LIST, AT(grant), .help = "Grants."},
    {.name = "max-channels",
     .argument = "N",
     .type = OPTION_UINT,
     AT(channels),
     .default_text = "64",
     .min = 1,
     .max = 1000,
     .help = "So many channels for each stream, and then no more of them, whatever the client says or wants "
             "or needs."},
    {.name = "queue-limit",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(limit),
     .default_text = "256KiB",
     .min = 1024,
     .help = "Bytes."},
    {.name = "heartbeat",
     .argument = "TIME",
     .group = "Time",
     .type = OPTION_DURATION,
     AT(heartbeat),
     .default_text = "15s",
     .max = 3600000,
     .help = "A heartbeat."},
    {.name = "retry", .argument = "MS", .type = OPTION_UINT, AT(retry), .help = "No default."},
    {.name = "tolerance",
     .argument = "X",
     .type = OPTION_FLOAT,
     AT(tolerance),
     .default_text = "0.1",
     .max = 1,
     .help = "A part."},
    {.name = "color",
     .argument = "COLOR",
     .type = OPTION_ENUM,
     AT(color),
     .default_text = "green",
     .names = colors,
     .help = "Color."},
    {.name = "quiet", .letter = 'q', .type = OPTION_FLAG, AT(quiet), .help = "Quiet."},
    {.name = "token",
     .argument = "T",
     .type = OPTION_STRING,
     .properties = OPTION_SECRET,
     AT(token),
     .help = "Secret."},
    {.name = "url",
     .argument = "URL",
     .type = OPTION_STRING,
     .properties = OPTION_SECRET_URL,
     AT(url),
     .help = "URL."},
};
static const struct option_table table = {
    .program = "demo",
    .synopsis = "[OPTION]... THING",
    .purpose = "Shows that options work.",
    .prefix = "DEMO_",
    .config_option = "config",
    .specs = specs,
    .count = sizeof(specs) / sizeof(specs[0]),
};

static struct settings settings;
static char error[512];
static int first;
static char file_name[128];

static bool load(char *const *arguments)
{
    static char *argv[32];
    int argc = 1;

    argv[0] = "demo";
    for (; arguments && arguments[argc - 1]; argc++)
        argv[argc] = arguments[argc - 1];
    argv[argc] = NULL;
    error[0] = '\0';
    options_free(&table, &settings);
    return options_load(&table, argc, argv, &settings, &first, error, sizeof(error));
}

#define LOAD(...) load((char *[]){__VA_ARGS__, NULL})

static void write_file(const char *text, size_t len)
{
    snprintf(file_name, sizeof file_name, "%s", scratch_path("options"));
    (void)unlink(file_name); // of the test before, which may have made it unreadable
    FILE *f = fopen(file_name, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
    setenv("DEMO_CONFIG", file_name, 1);
}

static void teardown(void)
{
    options_free(&table, &settings);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .teardown = teardown);

TEST(defaults_are_used)
{
    ck_assert(load(NULL));
    ck_assert_ptr_null(settings.name);
    ck_assert_uint_eq(settings.listen.count, 2);
    ck_assert_str_eq(settings.listen.items[0], "0.0.0.0:8080");
    ck_assert_str_eq(settings.listen.items[1], "[::]:8080");
    ck_assert_uint_eq(settings.grant.count, 0);
    ck_assert_uint_eq(settings.channels, 64);
    ck_assert_uint_eq(settings.limit, 262144);
    ck_assert_uint_eq(settings.heartbeat, 15000);
    ck_assert_uint_eq(settings.retry, OPTION_UNSET);
    ck_assert_double_eq_tol(settings.tolerance, 0.1, 1e-9);
    ck_assert_int_eq(settings.color, GREEN);
    ck_assert(!settings.quiet);
}

TEST(the_better_source_wins)
{
    static const char text[] = "max-channels = 3\nheartbeat = 3s\nname = file\nlisten = f:1\nlisten = f:2\n";

    write_file(text, strlen(text));
    setenv("DEMO_MAX_CHANNELS", "2", 1);
    setenv("DEMO_HEARTBEAT", "2s", 1);
    setenv("DEMO_LISTEN", "e:1, e:2 ,e:3", 1);
    ck_assert_msg(LOAD("--max-channels=1", "--listen", "c:1"), "%s", error);
    ck_assert_uint_eq(settings.channels, 1);
    ck_assert_uint_eq(settings.heartbeat, 2000);
    ck_assert_str_eq(settings.name, "file");
    ck_assert_uint_eq(settings.listen.count, 1);
    ck_assert_str_eq(settings.listen.items[0], "c:1");
    ck_assert(load(NULL));
    ck_assert_uint_eq(settings.listen.count, 3);
    ck_assert_str_eq(settings.listen.items[1], "e:2");
    unsetenv("DEMO_LISTEN");
    ck_assert(load(NULL));
    ck_assert_uint_eq(settings.listen.count, 2);
    ck_assert_str_eq(settings.listen.items[1], "f:2");
}

TEST(an_empty_variable_counts_as_not_set)
{
    setenv("DEMO_MAX_CHANNELS", "", 1);
    ck_assert(load(NULL));
    ck_assert_uint_eq(settings.channels, 64);
}

TEST(an_empty_list_undoes_the_default)
{
    ck_assert(LOAD("--listen="));
    ck_assert_uint_eq(settings.listen.count, 0);
}

TEST(a_flag_may_be_undone)
{
    setenv("DEMO_QUIET", "yes", 1);
    ck_assert(load(NULL));
    ck_assert(settings.quiet);
    ck_assert(LOAD("--quiet=no"));
    ck_assert(!settings.quiet);
    ck_assert(LOAD("-q"));
    ck_assert(settings.quiet);
}

TEST(other_arguments_are_handed_back)
{
    char *argv[] = {"demo", "one", "--quiet", "-", "--", "-5", NULL};

    ck_assert(options_load(&table, 6, argv, &settings, &first, error, sizeof(error)));
    ck_assert_int_eq(6 - first, 3);
    ck_assert_str_eq(argv[first], "one");
    ck_assert_str_eq(argv[first + 1], "-");
    ck_assert_str_eq(argv[first + 2], "-5");
    ck_assert(settings.quiet);
}

// --help must work however broken the rest is.
TEST(help_ends_the_reading)
{
    setenv("DEMO_CONFIG", "/nonexistent", 1);
    setenv("DEMO_MAX_CHANNELS", "x", 1);
    ck_assert(LOAD("--help", "--bogus"));
    ck_assert(settings.help);
}

static const struct {
    const char *argument;
    uint64_t heartbeat, limit;
} numbers[] = {
    {"--heartbeat=0", 0, 0},
    {"--heartbeat=0s", 0, 0},
    {"--heartbeat=500ms", 500, 0},
    {"--heartbeat=1m", 60000, 0},
    {"--heartbeat=1h", 3600000, 0},
    {"--heartbeat=15S", 15000, 0},
    {"--queue-limit=1024", 0, 1024},
    {"--queue-limit=1KiB", 0, 1024},
    {"--queue-limit=1MiB", 0, 1 << 20},
    {"--queue-limit=2GiB", 0, 2147483648},
    {"--queue-limit=1kib", 0, 1024},
};

TEST_EACH(durations_and_sizes_have_units, numbers)
{
    ck_assert_msg(LOAD((char *)numbers[_i].argument), "%s", error);
    if (strstr(numbers[_i].argument, "heartbeat"))
        ck_assert_uint_eq(settings.heartbeat, numbers[_i].heartbeat);
    else
        ck_assert_uint_eq(settings.limit, numbers[_i].limit);
}

static const struct {
    const char *arguments[3];
    const char *expected;
} mistakes[] = {
    {{"--heartbeat", "15x"},
     "--heartbeat: \"15x\" is not a duration; write for example 15s, 500ms, 2m or 1h"},
    {{"--heartbeat", "15"}, "--heartbeat: \"15\" is not a duration; write for example 15s, 500ms, 2m or 1h"},
    {{"--heartbeat", "-1s"},
     "--heartbeat: \"-1s\" is not a duration; write for example 15s, 500ms, 2m or 1h"},
    {{"--heartbeat="}, "--heartbeat: \"\" is not a duration; write for example 15s, 500ms, 2m or 1h"},
    {{"--heartbeat", "2h"}, "--heartbeat: \"2h\" is too large; the most is 1h"},
    {{"--heartbeat", "99999999999999999999h"},
     "--heartbeat: \"99999999999999999999h\" is too large; the most is 1h"},
    {{"--heartbeat", "18446744073709551h"},
     "--heartbeat: \"18446744073709551h\" is too large; the most is 1h"},
    // 2^57 hours are 0 ms in 64 bits.
    {{"--heartbeat", "144115188075855872h"},
     "--heartbeat: \"144115188075855872h\" is too large; the most is 1h"},
    {{"--queue-limit", "1"}, "--queue-limit: \"1\" is too small; the least is 1KiB"},
    {{"--queue-limit", "1MB"},
     "--queue-limit: \"1MB\" is not a size; write for example 4096, 256KiB or 1MiB"},
    {{"--queue-limit", "18446744073709551615"},
     "--queue-limit: \"18446744073709551615\" is too large; the most is 18446744073709551614"},
    {{"--max-channels", "0"}, "--max-channels: \"0\" is too small; the least is 1"},
    {{"--max-channels", "1001"}, "--max-channels: \"1001\" is too large; the most is 1000"},
    {{"--max-channels", "1 "}, "--max-channels: \"1 \" is not a whole number; write for example 64"},
    {{"--max-channels", "0x10"}, "--max-channels: \"0x10\" is not a whole number; write for example 64"},
    {{"--tolerance", "2"}, "--tolerance: \"2\" is not between 0 and 1"},
    {{"--tolerance", "nan"}, "--tolerance: \"nan\" is not a number; write for example 0.1"},
    {{"--tolerance", "1.2.3"}, "--tolerance: \"1.2.3\" is not a number; write for example 0.1"},
    {{"--color", "blue"}, "--color: \"blue\" is none of red, green"},
    {{"--quiet=maybe"}, "--quiet: \"maybe\" is neither yes nor no"},
    {{"--listen", "8080"}, "--listen: \"8080\" is no address; write ADDR:PORT"},
    {{"--listen", "8\n0"}, "--listen: \"8?0\" is no address; write ADDR:PORT"},
    {{"--heartbeat"}, "--heartbeat needs a value: --heartbeat TIME"},
    {{"--hartbeat", "5s"}, "unknown option --hartbeat; did you mean --heartbeat?"},
    {{"--hartbeat=5s"}, "unknown option --hartbeat; did you mean --heartbeat?"},
    {{"--wat"}, "unknown option --wat; --help lists all"},
    {{"--heartbea", "5s"}, "unknown option --heartbea; did you mean --heartbeat?"},
    {{"--heartbea=5s"}, "unknown option --heartbea; did you mean --heartbeat?"},
    {{"--tol", "0.5"}, "unknown option --tol; did you mean --tolerance?"},
    {{"--lrl", "x"}, "unknown option --lrl; did you mean --url?"},
    {{"--xyl", "x"}, "unknown option --xyl; --help lists all"},
    {{"--qui"}, "unknown option --qui; did you mean --quiet?"},
    {{"-5"}, "unknown option -5; if it is no option, put -- before it"},
    {{"-qx"}, "unknown option -x; if it is no option, put -- before it"},
};

TEST_EACH(a_mistake_gets_one_clear_line, mistakes)
{
    ck_assert(!load((char **)mistakes[_i].arguments));
    ck_assert_str_eq(error, mistakes[_i].expected);
}

TEST(a_mistake_in_the_environment_names_the_variable)
{
    setenv("DEMO_MAX_CHANNELS", "many", 1);
    ck_assert(!load(NULL));
    ck_assert_str_eq(error, "DEMO_MAX_CHANNELS: \"many\" is not a whole number; write for example 64");
}

static const struct {
    const char *text;
    size_t len;
    const char *expected; // after the file's name; NULL: no error
} files[] = {
#define TEXT(text) text, sizeof(text) - 1
    {TEXT(""), NULL},
    {TEXT("\n\n# note\n; note\n  # note\n[section]\nname=x"), NULL},
    {TEXT("\xEF\xBB\xBFname=x\r\n"), NULL},
    {TEXT("  max-channels   =   5  \n\tname = y\n"), NULL},
    {TEXT("# c\nhartbeat = 5s\n"), ":2: unknown option \"hartbeat\"; did you mean \"heartbeat\"?"},
    {TEXT("zzz = 5s\n"), ":1: unknown option \"zzz\""},
    {TEXT("\n\nheartbeat = 15x\n"),
     ":3: heartbeat: \"15x\" is not a duration; write for example 15s, 500ms, 2m or 1h"},
    {TEXT("name = a\nname = b\n"), ":2: \"name\" is given a second time"},
    {TEXT("help = yes\n"), ":1: \"help\" cannot be given in a file"},
    {TEXT("config = x\n"), ":1: \"config\" cannot be given in a file"},
    {TEXT("name\n"), ":1: expected a line like: name = value"},
    {TEXT("= x\n"), ":1: expected a line like: name = value"},
    {TEXT("[x\n"), ":1: a section is written [name]"},
    {TEXT("na\0me = x\n"), ":1: the line holds a NUL byte; this is no text file"},
    {TEXT("color ="), ":1: color: \"\" is none of red, green"},
};

TEST_EACH(a_file_is_read_strictly, files)
{
    char expected[600];

    write_file(files[_i].text, files[_i].len);
    if (files[_i].expected == NULL) {
        ck_assert_msg(load(NULL), "%s", error);
        return;
    }
    ck_assert(!load(NULL));
    snprintf(expected, sizeof(expected), "%s%s", file_name, files[_i].expected);
    ck_assert_str_eq(error, expected);
}

TEST(a_value_in_a_file_is_all_after_the_first_equals_sign)
{
    static const char text[] = "name = a ; b # c = d: e\n";

    write_file(text, strlen(text));
    ck_assert(load(NULL));
    ck_assert_str_eq(settings.name, "a ; b # c = d: e");
}

TEST(a_line_has_4096_bytes_at_most)
{
    char text[5000] = "name = ";

    memset(text + 7, 'x', 4089);
    write_file(text, 4096);
    ck_assert_msg(load(NULL), "%s", error);
    ck_assert_uint_eq(strlen(settings.name), 4089);
    unlink(file_name);
    memset(text + 7, 'x', 4090);
    write_file(text, 4097);
    ck_assert(!load(NULL));
    ck_assert_ptr_nonnull(strstr(error, ":1: the line has more than 4096 bytes"));
}

TEST(a_list_is_bounded)
{
    char *text = calloc(1, 20000);

    for (int i = 0; i < 1025; i++)
        strcat(text, "grant = x\n");
    write_file(text, strlen(text));
    free(text);
    ck_assert(!load(NULL));
    ck_assert_ptr_nonnull(strstr(error, ":1025: grant: more than 1024 values"));
}

TEST(a_file_that_cannot_be_read_is_named)
{
    ck_assert(!LOAD("--config", "/nonexistent/x.conf"));
    ck_assert_str_eq(error, "cannot read the configuration /nonexistent/x.conf: No such file or directory");
    ck_assert(!LOAD("--config", "/tmp"));
    ck_assert_str_eq(error, "cannot read /tmp: Is a directory");
}

TEST(a_file_without_permission_is_named)
{
    char expected[200];

    write_file("", 0);
    ck_assert_int_eq(chmod(file_name, 0), 0);
    if (geteuid() == 0 && seteuid(65534) != 0)
        return;
    ck_assert(!load(NULL));
    snprintf(expected, sizeof(expected), "cannot read the configuration %s: not allowed for user id %u",
             file_name, geteuid());
    ck_assert_str_eq(error, expected);
    ck_assert(seteuid(getuid()) == 0);
}

static char *print(bool help)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (help)
        options_print_help(&table, out);
    else
        options_print_config(&table, &settings, out);
    fclose(out);
    return text;
}

TEST(the_printed_configuration_reads_back)
{
    char *before, *after;

    ck_assert(LOAD("--name", "a b;c", "--grant", "x*", "--grant", "y", "--heartbeat", "90s",
                   "--queue-limit=3MiB", "--listen=", "--tolerance", "0.25", "--color", "red", "-q", "--url",
                   "redis://h:1"));
    before = print(false);
    write_file(before, strlen(before));
    ck_assert_msg(load(NULL), "%s", error);
    after = print(false);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(settings.heartbeat, 90000);
    ck_assert_uint_eq(settings.listen.count, 0);
    ck_assert_uint_eq(settings.grant.count, 2);
    ck_assert_str_eq(settings.name, "a b;c");
    ck_assert_ptr_nonnull(strstr(before, "heartbeat = 90s\n"));
    free(before);
    free(after);
}

TEST(a_secret_is_not_printed)
{
    char *text;

    ck_assert(LOAD("--token", "hush", "--url", "redis://me:hu@sh@host:1/2"));
    text = print(false);
    ck_assert_ptr_null(strstr(text, "hu"));
    ck_assert_ptr_nonnull(strstr(text, "# token = (set)\n"));
    ck_assert_ptr_nonnull(strstr(text, "# url = redis://(set)@host:1/2\n"));
    free(text);
}

TEST(help_shows_every_option_within_80_columns)
{
    char *text = print(true), *rest = text, *line;

    for (size_t i = 0; i < table.count; i++) {
        char name[80];

        snprintf(name, sizeof(name), "--%s", specs[i].name);
        ck_assert_ptr_nonnull(strstr(text, name));
        if (specs[i].default_text && specs[i].type != OPTION_LIST) {
            snprintf(name, sizeof(name), "(default: %s)", specs[i].default_text);
            ck_assert_msg(strstr(text, name) != NULL, "%s in\n%s", name, text);
        }
    }
    ck_assert_ptr_nonnull(strstr(text, "; one of red, green"));
    ck_assert_ptr_nonnull(strstr(text, "DEMO_NAME"));
    while ((line = strsep(&rest, "\n")) != NULL)
        ck_assert_uint_le(strlen(line), 80);
    free(text);
}
