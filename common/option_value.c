#include "common/option_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// The largest number with a fraction, which bounds its text.
#define FLOAT_MAX 1000000000

struct unit {
    const char *name;
    uint64_t factor;
};

// The largest first: option_value_format takes the first that divides evenly.
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_type type)
{
    return type == OPTION_DURATION ? duration_units : type == OPTION_SIZE ? size_units : plain_units;
}

const char *option_value_argument(const struct option_spec *spec)
{
    static const char *const usual[] = {
        [OPTION_STRING] = "TEXT",   [OPTION_LIST] = "TEXT", [OPTION_UINT] = "N",   [OPTION_SIZE] = "SIZE",
        [OPTION_DURATION] = "TIME", [OPTION_FLOAT] = "X",   [OPTION_ENUM] = "KIND"};
    return spec->argument ? spec->argument : usual[spec->type];
}

void option_value_init(const struct option_spec *spec, void *values)
{
    void *value = option_value_at(spec, values);
    switch (spec->type) {
    case OPTION_FLAG:
        *(bool *)value = false;
        break;
    case OPTION_STRING:
        *(char **)value = NULL;
        break;
    case OPTION_LIST:
        *(struct option_list *)value = (struct option_list){NULL, 0};
        break;
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        *(uint64_t *)value = OPTION_UNSET;
        break;
    case OPTION_FLOAT:
        *(double *)value = (double)NAN;
        break;
    case OPTION_ENUM:
        *(int *)value = -1;
        break;
    }
}

void option_value_clear(const struct option_spec *spec, void *values)
{
    void *value = option_value_at(spec, values);
    if (spec->type == OPTION_STRING) {
        free(*(char **)value);
    } else if (spec->type == OPTION_LIST) {
        struct option_list *list = value;
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
    }
    option_value_init(spec, values);
}

// Writes `"text" reason` with what could upset a terminal replaced, and the text cut where it is long.
static bool refuse(const char *text, const char *reason, char *error, size_t error_size)
{
    char shown[64];
    size_t used = 0;
    for (; *text && used < sizeof shown - 4; text++)
        shown[used++] = iscntrl((unsigned char)*text) ? '?' : *text;
    memcpy(shown + used, *text ? "..." : "", *text ? 4 : 1);
    snprintf(error, error_size, "\"%s\" %s", shown, reason);
    return false;
}

// Digits and a unit. False where the text is something else; `*value` is UINT64_MAX where it is too large for
// its type.
static bool parse_number(const char *text, const struct unit *units, bool unit_needed, uint64_t *value)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno == ERANGE)
        number = UINT64_MAX;
    if (unit_needed && *end == '\0' && number != 0)
        return false;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) == 0 || (number == 0 && *end == '\0')) {
            *value = number > UINT64_MAX / units->factor ? UINT64_MAX : number * units->factor;
            return true;
        }
    }
    return false;
}

static void format_number(uint64_t number, const struct unit *units, char out[OPTION_NUMBER_TEXT])
{
    while (units[1].name && (number == 0 ? units->factor != 1000 : number % units->factor != 0))
        units++;
    snprintf(out, OPTION_NUMBER_TEXT, "%" PRIu64 "%s", number / units->factor, units->name);
}

// Never with an exponent, which parse_float does not take.
static bool format_float(double number, char out[OPTION_NUMBER_TEXT])
{
    if (isnan(number))
        return false;
    size_t len = (size_t)snprintf(out, OPTION_NUMBER_TEXT, "%.9f", number);
    while (out[len - 1] == '0')
        out[--len] = '\0';
    if (out[len - 1] == '.')
        out[--len] = '\0';
    return true;
}

static bool parse_uint(const struct option_spec *spec, const char *text, uint64_t *out, char *error,
                       size_t error_size)
{
    static const char *const expected[] = {
        [OPTION_UINT] = "is not a whole number; write for example 64",
        [OPTION_SIZE] = "is not a size; write for example 4096, 256KiB or 1MiB",
        [OPTION_DURATION] = "is not a duration; write for example 15s, 500ms, 2m or 1h",
    };
    const struct unit *units = units_of(spec->type);
    // OPTION_UNSET cannot be given as a number.
    uint64_t number, max = spec->max ? spec->max : UINT64_MAX - 1;
    if (!parse_number(text, units, spec->type == OPTION_DURATION, &number))
        return refuse(text, expected[spec->type], error, error_size);
    if (number < spec->min || number > max) {
        char limit[OPTION_NUMBER_TEXT], reason[OPTION_NUMBER_TEXT + 40];
        format_number(number < spec->min ? spec->min : max, units, limit);
        snprintf(reason, sizeof reason,
                 number < spec->min ? "is too small; the least is %s" : "is too large; the most is %s",
                 limit);
        return refuse(text, reason, error, error_size);
    }
    *out = number;
    return true;
}

static bool parse_float(const struct option_spec *spec, const char *text, double *out, char *error,
                        size_t error_size)
{
    char *end, reason[80];
    uint64_t max = spec->max ? spec->max : FLOAT_MAX;
    double number = strtod(text, &end);
    // strtod would also take a sign, hexadecimal, "inf" and "nan".
    if (text[strspn(text, "0123456789.")] != '\0' || end == text || *end != '\0' || !isfinite(number))
        return refuse(text, "is not a number; write for example 0.1", error, error_size);
    if (number < (double)spec->min || number > (double)max) {
        snprintf(reason, sizeof reason, "is not between %" PRIu64 " and %" PRIu64, spec->min, max);
        return refuse(text, reason, error, error_size);
    }
    *out = number;
    return true;
}

static bool parse_flag(const char *text, bool *out, char *error, size_t error_size)
{
    static const char *const yes[] = {"yes", "on", "true", "1", NULL};
    static const char *const no[] = {"no", "off", "false", "0", NULL};
    for (size_t i = 0; yes[i]; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return refuse(text, "is neither yes nor no", error, error_size);
}

static bool parse_enum(const struct option_spec *spec, const char *text, int *out, char *error,
                       size_t error_size)
{
    char reason[200] = "is none of";
    size_t used = strlen(reason);
    for (int i = 0; spec->names[i]; i++) {
        if (strcmp(text, spec->names[i]) == 0) {
            *out = i;
            return true;
        }
        if (used < sizeof reason)
            used +=
                (size_t)snprintf(reason + used, sizeof reason - used, "%s %s", i ? "," : "", spec->names[i]);
    }
    return refuse(text, reason, error, error_size);
}

// Copies a string that the spec's own check lets pass. NULL with `error` written where it does not.
static char *copy_checked(const struct option_spec *spec, const char *text, char *error, size_t error_size)
{
    char reason[256] = "cannot be used";
    if (spec->check && !spec->check(text, reason, sizeof reason)) {
        if (spec->properties & (OPTION_SECRET | OPTION_SECRET_URL))
            snprintf(error, error_size, "%s", reason);
        else
            refuse(text, reason, error, error_size);
        return NULL;
    }
    char *copy = strdup(text);
    if (!copy)
        snprintf(error, error_size, "out of memory");
    return copy;
}

static bool parse_string(const struct option_spec *spec, const char *text, char **out, char *error,
                         size_t error_size)
{
    char *copy = copy_checked(spec, text, error, error_size);
    if (!copy)
        return false;
    free(*out);
    *out = copy;
    return true;
}

// An empty text adds nothing: it is how an empty list is written.
static bool parse_item(const struct option_spec *spec, const char *text, struct option_list *list,
                       char *error, size_t error_size)
{
    if (*text == '\0')
        return true;
    if (list->count == OPTION_LIST_MAX) {
        snprintf(error, error_size, "more than %d values", OPTION_LIST_MAX);
        return false;
    }
    char *copy = copy_checked(spec, text, error, error_size);
    if (!copy)
        return false;
    char **grown = reallocarray(list->items, list->count + 1, sizeof *grown);
    if (!grown) {
        free(copy);
        snprintf(error, error_size, "out of memory");
        return false;
    }
    list->items = grown;
    list->items[list->count++] = copy;
    return true;
}

bool option_value_parse(const struct option_spec *spec, const char *text, void *values, char *error,
                        size_t error_size)
{
    void *value = option_value_at(spec, values);
    switch (spec->type) {
    case OPTION_FLAG:
        return parse_flag(text, value, error, error_size);
    case OPTION_STRING:
        return parse_string(spec, text, value, error, error_size);
    case OPTION_LIST:
        return parse_item(spec, text, value, error, error_size);
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return parse_uint(spec, text, value, error, error_size);
    case OPTION_FLOAT:
        return parse_float(spec, text, value, error, error_size);
    case OPTION_ENUM:
        return parse_enum(spec, text, value, error, error_size);
    }
    return false;
}

bool option_value_parse_joined(const struct option_spec *spec, const char *text, void *values, char *error,
                               size_t error_size)
{
    if (spec->type != OPTION_LIST)
        return option_value_parse(spec, text, values, error, error_size);
    char *copy = strdup(text), *rest = copy, *item;
    if (!copy) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    bool ok = true;
    while (ok && (item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " \t");
        for (size_t len = strlen(item); len > 0 && (item[len - 1] == ' ' || item[len - 1] == '\t'); len--)
            item[len - 1] = '\0';
        ok = option_value_parse(spec, item, values, error, error_size);
    }
    free(copy);
    return ok;
}

bool option_value_format(const struct option_spec *spec, const void *values, char out[OPTION_NUMBER_TEXT])
{
    const void *value = option_value_at(spec, values);
    switch (spec->type) {
    case OPTION_FLAG:
        snprintf(out, OPTION_NUMBER_TEXT, "%s", *(const bool *)value ? "yes" : "no");
        return true;
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        format_number(*(const uint64_t *)value, units_of(spec->type), out);
        return *(const uint64_t *)value != OPTION_UNSET;
    case OPTION_FLOAT:
        return format_float(*(const double *)value, out);
    case OPTION_ENUM:
        if (*(const int *)value < 0)
            return false;
        snprintf(out, OPTION_NUMBER_TEXT, "%s", spec->names[*(const int *)value]);
        return true;
    case OPTION_STRING:
    case OPTION_LIST:
        break;
    }
    return false;
}
