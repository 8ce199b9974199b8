// How durable events get into Redis: by the function sse_publish, or, where the server has no functions or
// forbids them, by the same code as a script (common/sse/).
#pragma once

#include "common/pattern.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/message.h"

#include <stdbool.h>
#include <stdint.h>

// The settings that all events of one run share. Zeroes and NULL: absent.
struct durable_settings {
    const char *event;                  // borrowed
    bool has_retry;                     //
    uint32_t retry_ms;                  //
    uint64_t keep;                      // events; 0: the default of the function
    uint64_t keep_for_ms;               // rounded up to seconds; 0: the same
    const char *pubsub;                 // borrowed, "classic" or "sharded"; NULL: as the server is
    const char *traceparent, *trace_to; // borrowed; NULL: nobody follows the event
};

struct durable {
    const char *channel, *event, *pubsub, *traceparent, *trace_to; // borrowed
    char key[CHANNEL_NAME_MAX + 8], retry[12], keep[24], keep_for[24];
    bool has_keep, has_keep_for;
    bool by_script, sharded; // how; durable_first finds out
};

// `channel` has been checked.
void durable_init(struct durable *durable, const char *channel, const struct durable_settings *settings);

// Writes the command that publishes one event with this data. It borrows from `durable` and `data`.
void durable_command(const struct durable *durable, struct span data, struct command *command);

// Publishes the first event, while nothing else is on the way, and finds out how: by the function, else by
// the function after loading the library, else by the script. Returns the last answer of Redis, which may be
// an error. NULL where the connection is lost.
struct redisReply *durable_first(struct durable *durable, struct connection *connection, struct span data,
                                 struct failure *failure);

// True for the answer of a server that has done nothing, since it does not have the function or script:
// durable_first helps.
bool durable_unknown(const struct redisReply *reply);
