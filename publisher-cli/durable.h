// How durable events get into Redis: by the function sse_publish, several at once by sse_append, or, where the server has
// no functions or forbids them, one at a time by the same code as a script (common/sse/).
#pragma once

#include "common/pattern.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/message.h"

#include <stdbool.h>
#include <stdint.h>

// The settings that all events of one run share. Zeroes and NULL: absent.
struct durable_settings {
    const char *event; // borrowed
    bool has_retry;    // whether `retry_ms` is given
    uint32_t retry_ms;
    uint64_t keep;        // events; 0: the default of the function
    uint64_t keep_for_ms; // rounded up to seconds; 0: the same
    uint64_t keep_bytes;  // of names and data, and 64 for each event; 0: the same
    uint64_t end_ms;      // rounded up to seconds: how long the history lasts after the last event; 0: no end
    const char *key;      // borrowed; of the one event of the run; NULL: none
    bool is_fenced;       // the first event goes behind offset `after`, each other one behind the one before
    uint64_t after;
    bool is_snapshot;                   // each event stands for all before it
    const char *pubsub;                 // borrowed, "classic" or "sharded"; NULL: as the server is
    const char *traceparent, *trace_to; // borrowed; NULL: nobody follows the event
};

// Events that follow each other, for one command. Borrowed.
struct durable_events {
    const struct span *datas;
    size_t count;
    uint64_t first; // which event of the run the first one is, from 1
    uint64_t last;  // which one is the last of the run; 0: not known yet
};

struct durable {
    const char *channel, *event, *key_text, *pubsub, *traceparent, *trace_to; // borrowed
    uint64_t after;
    char key[CHANNEL_NAME_MAX + 8], retry[12], keep[24], keep_for[24], keep_bytes[24], end[24],
        after_text[24], count_text[24];
    bool has_keep, has_keep_for, has_keep_bytes, has_end, is_fenced, is_snapshot;
    bool by_script, lacks_append, sharded; // how; durable_first finds out
};

// `channel` has been checked.
void durable_init(struct durable *durable, const char *channel, const struct durable_settings *settings);

// How many events one command takes by what is known of the server: 1 or DURABLE_BATCH_MAX.
#define DURABLE_BATCH_MAX 256
size_t durable_batch(const struct durable *durable);

// True where no command may be sent before the one before it was taken: one that was refused must not leave a hole.
bool durable_is_ordered(const struct durable *durable);

// True where an event may be sent twice: Redis knows it by its key.
bool durable_has_key(const struct durable *durable);

// Writes the command that publishes the events, no more of them than durable_batch says. It borrows from `durable`, until
// the next one is written, and from the data.
void durable_command(struct durable *durable, const struct durable_events *events, struct command *command);

// Publishes the first events, while nothing else is on the way, and finds out how: by the function, else by
// the function after loading the library, else by the script. Lowers events->count to what durable_batch says then.
// Returns the last answer of Redis, which may be an error. NULL where the connection is lost.
struct redisReply *durable_first(struct durable *durable, struct connection *connection,
                                 struct durable_events *events, struct failure *failure);

// True for the answer of a server that has done nothing, since it does not have the function or script:
// durable_first helps.
bool durable_unknown(const struct redisReply *reply);

// True for the answer that the channel's last offset is another one than option `after` says.
bool durable_fenced(const struct redisReply *reply);

// What helps against an error that Redis answers, to stand behind its text; NULL where nothing is known.
const char *durable_remedy(const struct redisReply *reply);
