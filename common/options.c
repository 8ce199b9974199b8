#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ini.h"
#include "common/option_value.h"

#define NAME_MAX_BYTES 64
#define REASON_MAX_BYTES 512
// getopt_long answers FIRST_OPTION + index for a long option, apart from letters and its own '?' and ':'.
#define FIRST_OPTION 1000

// Where a value is from. The higher one wins, in whatever order they are read.
enum source { SOURCE_NONE, SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_COMMAND_LINE };

struct loading {
    const struct option_table *table;
    void *values;
    enum source *sources; // one for each spec
    char *error;
    size_t error_size;
};

static bool is_command_line_only(const struct option_spec *spec)
{
    return spec->properties & (OPTION_COMMAND_LINE | OPTION_ENDS);
}

static const struct option_spec *find_spec(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->specs[i].name, name) == 0)
            return &table->specs[i];
    }
    return NULL;
}

// Levenshtein's distance; what is too long for the row is as far as can be.
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES];
    size_t b_len = strlen(b);
    if (b_len >= NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            size_t cost = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < cost)
                cost = row[j] + 1;
            if (row[j + 1] + 1 < cost)
                cost = row[j + 1] + 1;
            row[j + 1] = cost;
        }
    }
    return row[b_len];
}

// The name that `name` is most likely meant to be, cut short or mistyped, or NULL. A short word may have
// fewer mistakes: with two, "tol" is "url".
static const char *nearest_name(const struct option_table *table, const char *name)
{
    const char *best = NULL;
    size_t best_distance = 3;
    if (*name == '\0' || strlen(name) >= NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < table->count; i++) {
        if (strncmp(table->specs[i].name, name, strlen(name)) == 0)
            return table->specs[i].name;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t distance = edit_distance(name, table->specs[i].name);
        if (distance < best_distance && distance * 2 < strlen(name)) {
            best = table->specs[i].name;
            best_distance = distance;
        }
    }
    return best;
}

// Takes `text` for `spec` unless a source of higher rank has given the option. The reason of a failure goes
// to `reason`.
static bool use_value(struct loading *loading, const struct option_spec *spec, enum source source,
                      const char *text, char *reason, size_t reason_size)
{
    enum source *known = &loading->sources[spec - loading->table->specs];
    bool joined = source == SOURCE_ENVIRONMENT || source == SOURCE_DEFAULT;
    if (*known > source)
        return true;
    if (*known < source)
        option_value_clear(spec, loading->values);
    *known = source;
    if (joined)
        return option_value_parse_joined(spec, text, loading->values, reason, reason_size);
    return option_value_parse(spec, text, loading->values, reason, reason_size);
}

static bool load_defaults(struct loading *loading)
{
    char reason[REASON_MAX_BYTES] = "";
    for (size_t i = 0; i < loading->table->count; i++) {
        const struct option_spec *spec = &loading->table->specs[i];
        if (spec->default_text &&
            !use_value(loading, spec, SOURCE_DEFAULT, spec->default_text, reason, sizeof reason)) {
            snprintf(loading->error, loading->error_size, "default of --%s: %s", spec->name, reason);
            return false;
        }
    }
    return true;
}

static void environment_name(const struct option_table *table, const struct option_spec *spec,
                             char out[NAME_MAX_BYTES * 2])
{
    snprintf(out, NAME_MAX_BYTES * 2, "%s%s", table->prefix, spec->name);
    for (char *c = out; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

// A variable with the prefix that names no option is no error: Kubernetes sets some for every service
// (SSE_GATEWAY_SERVICE_HOST for one that is called sse-gateway).
static bool load_environment(struct loading *loading)
{
    char name[NAME_MAX_BYTES * 2], reason[REASON_MAX_BYTES] = "";
    for (size_t i = 0; loading->table->prefix && i < loading->table->count; i++) {
        const struct option_spec *spec = &loading->table->specs[i];
        if (is_command_line_only(spec))
            continue;
        environment_name(loading->table, spec, name);
        const char *text = getenv(name);
        if (text && *text && !use_value(loading, spec, SOURCE_ENVIRONMENT, text, reason, sizeof reason)) {
            snprintf(loading->error, loading->error_size, "%s: %s", name, reason);
            return false;
        }
    }
    return true;
}

static bool on_file_entry(void *user, const char *name, const char *value, unsigned line, char *error,
                          size_t error_size)
{
    struct loading *loading = user;
    const struct option_table *table = loading->table;
    const struct option_spec *spec = find_spec(table, name);
    char reason[REASON_MAX_BYTES] = "";
    (void)line;
    if (!spec) {
        const char *nearest = nearest_name(table, name);
        snprintf(error, error_size, "unknown option \"%.64s\"%s%s%s", name,
                 nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
        return false;
    }
    if (is_command_line_only(spec) || strcmp(name, table->config_option) == 0) {
        snprintf(error, error_size, "\"%s\" cannot be given in a file", name);
        return false;
    }
    if (spec->type != OPTION_LIST && loading->sources[spec - table->specs] == SOURCE_FILE) {
        snprintf(error, error_size, "\"%s\" is given a second time", name);
        return false;
    }
    if (!use_value(loading, spec, SOURCE_FILE, value, reason, sizeof reason)) {
        snprintf(error, error_size, "%s: %s", name, reason);
        return false;
    }
    return true;
}

static bool load_file(struct loading *loading)
{
    const struct option_spec *spec =
        loading->table->config_option ? find_spec(loading->table, loading->table->config_option) : NULL;
    const char *filename = spec ? *(char **)option_value_at(spec, loading->values) : NULL;
    if (!filename)
        return true;
    FILE *in = fopen(filename, "re");
    if (!in) {
        int reason = errno;
        snprintf(loading->error, loading->error_size, "cannot read the configuration %s: %s", filename,
                 strerror(reason));
        if (reason == EACCES)
            snprintf(loading->error, loading->error_size,
                     "cannot read the configuration %s: not allowed for user id %u", filename,
                     (unsigned)geteuid());
        return false;
    }
    bool ok = ini_read(in, filename, on_file_entry, loading, loading->error, loading->error_size);
    (void)fclose(in); // only read
    return ok;
}

// Fills the two forms that getopt_long wants. Flags take an optional value: --json=no undoes what the
// environment says.
static void make_getopt_tables(const struct option_table *table, struct option *longs, char *shorts)
{
    *shorts++ = ':';
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        int has_arg = spec->type == OPTION_FLAG ? optional_argument : required_argument;
        longs[i] = (struct option){.name = spec->name, .has_arg = has_arg, .val = FIRST_OPTION + (int)i};
        if (spec->letter)
            *shorts++ = spec->letter;
        if (spec->letter && spec->type != OPTION_FLAG)
            *shorts++ = ':';
    }
    longs[table->count] = (struct option){0};
    *shorts = '\0';
}

static const struct option_spec *spec_of(const struct option_table *table, int found)
{
    if (found >= FIRST_OPTION)
        return &table->specs[found - FIRST_OPTION];
    for (size_t i = 0; i < table->count; i++) {
        if (found && table->specs[i].letter == found)
            return &table->specs[i];
    }
    return NULL;
}

// `letter` is the one of a short option, which may stand in the middle of an argument that getopt is not
// through with; else 0.
static bool refuse_unknown(struct loading *loading, const char *text, int letter)
{
    char name[NAME_MAX_BYTES], short_option[3] = {'-', (char)(isprint(letter) ? letter : '?'), '\0'};
    const char *nearest = NULL;
    if (letter)
        text = short_option;
    int len = (int)strcspn(text, "=");
    if (!letter && len > 2 && len < NAME_MAX_BYTES) {
        snprintf(name, sizeof name, "%.*s", len - 2, text + 2);
        nearest = nearest_name(loading->table, name);
    }
    if (nearest)
        snprintf(loading->error, loading->error_size, "unknown option %.*s; did you mean --%s?", len, text,
                 nearest);
    else
        snprintf(loading->error, loading->error_size, "unknown option %.*s%s",
                 len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES, text,
                 letter ? "; if it is no option, put -- before it" : "; --help lists all");
    return false;
}

static bool refuse_missing(struct loading *loading, const struct option_spec *spec)
{
    snprintf(loading->error, loading->error_size, "--%s needs a value: --%s %s", spec->name, spec->name,
             option_value_argument(spec));
    return false;
}

// getopt_long takes any unique beginning of a name for the name. A script that uses one breaks when an option
// is added, so it is refused. `text` is the argument that held the name.
static bool is_abbreviated(const struct option_spec *spec, const char *text)
{
    return strncmp(text, "--", 2) == 0 && strcspn(text + 2, "=") != strlen(spec->name);
}

// Handles one result of getopt_long.
static bool use_found(struct loading *loading, int found, char **argv)
{
    const struct option_spec *spec = spec_of(loading->table, found == ':' ? optopt : found);
    bool separate = optarg && optarg == argv[optind - 1];
    const char *text = argv[optind - (separate ? 2 : 1)];
    char reason[REASON_MAX_BYTES] = "";
    if (!spec)
        return refuse_unknown(loading, text, found == '?' ? (unsigned char)optopt : 0);
    if (found >= FIRST_OPTION && is_abbreviated(spec, text))
        return refuse_unknown(loading, text, 0);
    if (found == ':')
        return refuse_missing(loading, spec);
    if (use_value(loading, spec, SOURCE_COMMAND_LINE, optarg ? optarg : "yes", reason, sizeof reason))
        return true;
    snprintf(loading->error, loading->error_size, "--%s: %s", spec->name, reason);
    return false;
}

// `*ends` tells that an option like --help was met.
static bool load_command_line(struct loading *loading, int argc, char **argv, int *first_argument, bool *ends)
{
    const struct option_table *table = loading->table;
    struct option *longs = calloc(table->count + 1, sizeof *longs);
    char *shorts = calloc(table->count + 1, 2);
    bool ok = longs && shorts;
    int found;
    if (!ok) {
        snprintf(loading->error, loading->error_size, "out of memory");
        goto done;
    }
    make_getopt_tables(table, longs, shorts);
    optind = 0; // glibc: begin anew
    opterr = 0;
    *ends = false;
    while (ok && !*ends && (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        ok = use_found(loading, found, argv);
        *ends = ok && (spec_of(table, found)->properties & OPTION_ENDS);
    }
    *first_argument = optind;

done:
    free(longs);
    free(shorts);
    return ok;
}

bool options_load(const struct option_table *table, int argc, char **argv, void *values, int *first_argument,
                  char *error, size_t error_size)
{
    struct loading loading = {.table = table, .values = values, .error = error, .error_size = error_size};
    bool ends = false;
    for (size_t i = 0; i < table->count; i++)
        option_value_init(&table->specs[i], values);
    loading.sources = calloc(table->count + 1, sizeof *loading.sources);
    if (!loading.sources) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    // The file comes last, because command line and environment may name it.
    bool ok = load_defaults(&loading) && load_command_line(&loading, argc, argv, first_argument, &ends) &&
              (ends || (load_environment(&loading) && load_file(&loading)));
    free(loading.sources);
    if (!ok)
        options_free(table, values);
    return ok;
}

void options_free(const struct option_table *table, void *values)
{
    for (size_t i = 0; i < table->count; i++)
        option_value_clear(&table->specs[i], values);
}
