// The options of sse-publish.
#pragma once

#include "common/options.h"
#include "common/redis_options.h"
#include "publisher-cli/failure.h"

#include <stdbool.h>
#include <stdint.h>

#define SUBSCRIBE_DEFAULT_URL "http://127.0.0.1:8080/stream"
#define IDLE_DEFAULT_MS 70000 // two or three heartbeats of 15 s, and more than the 60 s of many proxies

#define POSITION_CHANNELS_MAX 512 // of one --position

struct settings {
    struct redis_options redis; // its URL is NULL where none was given
    char *event, *id, *key, *revoke_subject, *revoke_token;
    char *after; // an offset, or for a history an id
    char *url, *token_file, *ticket, *last_event_id, *cacert, *channel, *origin;
    uint64_t max_message, timeout, idle, trace_timeout;
    uint64_t retry, keep, keep_for, keep_bytes, end, coalesce; // may be OPTION_UNSET
    uint64_t revoke_for, until, count;                         // likewise
    bool trace, durable, snapshot, position, install, lines, json, help, version;
};

extern const struct option_table settings_table;

// What a run is for: a bit each.
enum use { USE_PUBLISH = 1, USE_GATEWAYS = 2, USE_HISTORY = 4, USE_SUBSCRIBE = 8, USE_DOCTOR = 16 };

// How many operands a command takes.
struct command_rule {
    enum use use;
    int operands_min, operands_max;
};
extern const struct command_rule settings_rules[]; // in the order of settings_table.commands

// The command that `word`, the first operand, names; USE_PUBLISH where it names none, and for NULL.
enum use settings_use(const char *word);

// False where options and operands (`argc` of them, the command's own word not counted) do not go together, or not with
// what the run is for.
bool settings_check(const struct settings *settings, enum use use, int argc, struct failure *failure);

// The offset that --after is when publishing; false where it is none.
bool settings_offset(const char *text, uint64_t *offset);
