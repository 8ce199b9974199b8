// One blocking connection to Redis. Commands are gathered and leave together, so that many may be on the way
// at a time; their answers come in the same order. After any failure the connection is of no use, and Redis
// may or may not have executed the commands that were sent whole.
#pragma once

#include "common/redis_url.h"
#include "publisher-cli/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;
struct connection;

// Where Redis is, and how long to wait for it: for a connection, and for each answer.
struct redis_target {
    const struct redis_url *url; // borrowed
    uint64_t timeout_ms;
    bool is_sentinel; // the server is a sentinel; for messages
};

// A name and data for each of 256 events, and what stands before and behind them.
#define COMMAND_ARGS_MAX (2 * 256 + 32)

// Arguments are borrowed. To begin with, command_begin is called; what is behind `argc` stays as it is.
struct command {
    int argc;
    const char *argv[COMMAND_ARGS_MAX];
    size_t lengths[COMMAND_ARGS_MAX];
};

void command_begin(struct command *command);
void command_add(struct command *command, const char *bytes, size_t len);
void command_add_text(struct command *command, const char *text);

// Connects, authenticates, selects the database. NULL on failure. Writes to a connection that is gone raise
// SIGPIPE: have it ignored. What `target` points to is borrowed for the call.
struct connection *connection_open(const struct redis_target *target, struct failure *failure);
void connection_close(struct connection *connection); // may be NULL

// "redis://host:port", or "the sentinel redis://host:port", for messages.
const char *connection_name(const struct connection *connection);

// The host it was opened with; "" for a unix socket.
const char *connection_host(const struct connection *connection);

// Gathers a command (copied). False where memory ran out.
bool connection_append(struct connection *connection, const struct command *command, struct failure *failure);

// The answer to the oldest command that still lacks one, after all that was gathered has been sent. The
// caller frees it with freeReplyObject. An error that Redis answers is an answer. NULL where the connection
// is lost.
struct redisReply *connection_reply(struct connection *connection, struct failure *failure);

// The next thing that the server sends unasked, as a subscriber is sent messages; NULL where nothing whole came within
// `ms` (*is_late then), or the connection is lost.
struct redisReply *connection_reply_within(struct connection *connection, uint64_t ms, bool *is_late,
                                           struct failure *failure);

// Bytes of commands that were gathered, and of those that were sent, since it was opened. A command whose end
// was not sent has certainly not been executed.
uint64_t connection_gathered(const struct connection *connection);
uint64_t connection_sent(const struct connection *connection);

// False where the server has closed the connection, as it does with idle ones, or the connection is known to
// be lost otherwise. To be called while no answer is due. After a second in which no byte came it sends PING,
// which takes a round trip: a NAT on the way may drop a connection without notice to either end.
bool connection_is_usable(struct connection *connection);

// connection_append and connection_reply for one command, while no other is on the way. `words` ends with
// NULL.
struct redisReply *connection_ask(struct connection *connection, const char *const *words,
                                  struct failure *failure);

// The failure that an error of Redis is: its text, and `remedy` (may be NULL), or a known remedy where the
// error has an obvious one. Returns false.
bool connection_refused(const struct connection *connection, const char *said, const char *remedy,
                        struct failure *failure);
