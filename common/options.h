// One table of options yields flags, environment variables, an INI file, --help and --print-config. What is
// given in several places counts in this order: command line, environment, file, default. A list is replaced
// as a whole, never merged.
//
//   command line   --max-channels 8, --max-channels=8; a list repeats the option
//   environment    SSE_GATEWAY_MAX_CHANNELS=8; a list is comma separated; empty counts as not set
//   file           max-channels = 8; a list repeats the key; an empty value is an empty list
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,     // bool
    OPTION_STRING,   // char *; NULL where there is neither a value nor a default
    OPTION_LIST,     // struct option_list
    OPTION_UINT,     // uint64_t
    OPTION_SIZE,     // uint64_t, bytes; written 4096, 256KiB, 1MiB, 1GiB
    OPTION_DURATION, // uint64_t, milliseconds; written 500ms, 15s, 1m, 1h
    OPTION_FLOAT,    // double
    OPTION_ENUM,     // int, the index in `names`
};

// What a number without value and default holds; an OPTION_ENUM holds -1 then, an OPTION_FLOAT NAN.
#define OPTION_UNSET UINT64_MAX

struct option_list {
    char **items;
    size_t count;
};

enum option_property {
    OPTION_SECRET = 1,       // --print-config and errors never show the value
    OPTION_SECRET_URL = 2,   // the same for what stands before the '@' of a URL
    OPTION_COMMAND_LINE = 4, // neither in the environment nor in a file
    OPTION_ENDS = 8,         // a flag like --help: nothing else is looked at any more; implies the one above
    OPTION_HIDDEN = 16,      // not in --help
};

struct option_spec {
    const char *name;     // "max-channels"
    char letter;          // 'h' for -h; 0 for none
    const char *argument; // "ADDR:PORT"; NULL: what option_value_argument says of the type
    const char *group;    // heading in --help; NULL: the group of the option before
    enum option_type type;
    unsigned properties;      // of enum option_property
    size_t offset;            // of the value in the caller's struct
    const char *default_text; // as in the environment; NULL for none
    const char *default_note; // what --help says instead of default_text: "number of cores"
    uint64_t min, max;        // numbers only, in their unit; max 0: no limit
    const char *const *names; // OPTION_ENUM: ends with NULL
    // Optional, for a string or a list item that cannot be used: returns false and writes what is wrong with
    // it, to stand after `"x" ` ("is no address; write ADDR:PORT"). For a secret it stands alone.
    bool (*check)(const char *text, char *error, size_t error_size);
    const char *help; // a sentence without its full stop, the choices of an enum and the default
};

// A word that is a command where it stands first among what is no option; for --help.
struct option_command {
    const char *name, *operands; // "history", "CHANNEL"
    const char *help;            // a sentence without its full stop
};

struct option_table {
    const char *program;       // "sse-gateway"
    const char *synopsis;      // what follows the name in the usage line: "[OPTION]..."
    const char *purpose;       // a sentence
    const char *prefix;        // of the environment variables: "SSE_GATEWAY_"; NULL for none
    const char *config_option; // name of the string option that names the file; NULL for none
    const char *epilogue;      // text at the end of --help; NULL for none
    const struct option_command *commands;
    size_t command_count;
    const struct option_spec *specs;
    size_t count;
};

// Fills `values` (the caller's struct, which specs[].offset point into; all bytes are overwritten for each
// spec). `argv` is put in order, options first; argv[*first_argument] and on are what is no option. On
// failure returns false and writes to `error` one line that names the source; nothing is left to free then.
// Not for several threads at once: getopt_long has state of its own.
bool options_load(const struct option_table *table, int argc, char **argv, void *values, int *first_argument,
                  char *error, size_t error_size);

// Frees strings and lists in `values`, and sets them to NULL and empty.
void options_free(const struct option_table *table, void *values);

// Help for a person, at most 80 columns.
void options_print_help(const struct option_table *table, FILE *out);

// `values` as an INI file that options_load reads back. Secrets are commented out and shown as "(set)".
void options_print_config(const struct option_table *table, const void *values, FILE *out);
