// How durable events get into Redis: by the function sse_publish, or, where functions are not to be had, by
// the same code as a script (common/sse.lua).
#pragma once

#include "common/pattern.h"
#include "publisher-cli/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DURABLE_ARGS_MAX 16

// What all events of one run share. Zeroes and NULL: absent.
struct durable_settings {
    const char *event;    // borrowed
    bool has_retry;       //
    uint32_t retry_ms;    //
    uint64_t keep;        // events; 0: what the function takes by itself
    uint64_t keep_for_ms; // rounded up to seconds; 0: the same
};

struct durable {
    const char *event;
    char retry[12], keep[24], keep_for[24];
    char key[CHANNEL_NAME_MAX + 8]; // of the history of the channel that comes next
    bool has_keep, has_keep_for;
    bool by_script, sharded; // how; durable_first finds out
};

void durable_init(struct durable *durable, const struct durable_settings *settings);

// Writes the command that publishes one event. `argv` and `lengths` have room for DURABLE_ARGS_MAX and borrow
// all they are given. Returns how many there are.
int durable_command(struct durable *durable, const char *channel, const char *data, size_t len,
                    const char **argv, size_t *lengths);

// Publishes the first event, while nothing else is on the way, and finds out how: by function; else loads the
// library; else by script. The answer is Redis' last one, and may be an error. NULL, with one line in
// `error`, where the connection is lost.
struct redisReply *durable_first(struct durable *durable, struct connection *connection, const char *channel,
                                 const char *data, size_t len, char *error, size_t error_size);

// True for the answer of a server that has neither done anything nor knows what it was asked to call:
// durable_first helps.
bool durable_unknown(const struct redisReply *reply);
