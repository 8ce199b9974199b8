// Values of options: text to value and back. Used by options.c and options_print.c only.
#pragma once

#include "common/options.h"

// Items that a list may have. A command line is bounded by the kernel; this bounds what a file can make of
// it.
#define OPTION_LIST_MAX 1024

// Longest value in canonical text of anything but strings.
#define OPTION_NUMBER_TEXT 40

static inline void *option_value_at(const struct option_spec *spec, const void *values)
{
    return (char *)values + spec->offset;
}

// What stands for the value in --help; NULL for a flag.
const char *option_value_argument(const struct option_spec *spec);

// Sets the value to "not given" without freeing what it was.
void option_value_init(const struct option_spec *spec, void *values);

// Frees and sets to "not given".
void option_value_clear(const struct option_spec *spec, void *values);

// Parses `text` (borrowed) into the value, a list gets one item more. On failure writes the reason to
// `error`, quotes included:
// `"15x" is not a duration; write for example 15s`. The old value is kept then.
bool option_value_parse(const struct option_spec *spec, const char *text, void *values, char *error,
                        size_t error_size);

// Parses comma separated `text` into a list; anything else as option_value_parse does.
bool option_value_parse_joined(const struct option_spec *spec, const char *text, void *values, char *error,
                               size_t error_size);

// The text that parses to a number, flag or enum: 900000 of a duration is "15m". False where it is not given.
bool option_value_format(const struct option_spec *spec, const void *values, char out[OPTION_NUMBER_TEXT]);
