// One blocking connection to Redis. Commands are gathered and leave together, so that many may be on the way
// at a time; their answers come in the same order. Any failure is the end: what was sent may or may not have
// been done.
#pragma once

#include "common/redis_url.h"

#include <hiredis/read.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;
struct connection;

// Connects, authenticates, selects the database. Connecting and each answer may take `timeout_ms`. NULL, with
// one line in `error`, on failure; the line never holds the password. Writes to a connection that is gone
// raise SIGPIPE: have it ignored. `url` is borrowed for the call.
struct connection *connection_open(const struct redis_url *url, uint64_t timeout_ms, char *error,
                                   size_t error_size);
void connection_close(struct connection *connection); // may be NULL

// "redis://host:port", for messages.
const char *connection_name(const struct connection *connection);

// The host it was opened with; "" for a unix socket.
const char *connection_host(const struct connection *connection);

// Gathers a command (copied). False, with one line in `error`, where memory ran out.
bool connection_append(struct connection *connection, int argc, const char *const *argv,
                       const size_t *lengths, char *error, size_t error_size);

// The answer to the oldest command that still lacks one, after all that was gathered has been sent. The
// caller frees it with freeReplyObject. An error that Redis answers is an answer. NULL, with one line in
// `error`, where the connection is lost.
struct redisReply *connection_reply(struct connection *connection, char *error, size_t error_size);

// Both, for a command of `argc` strings, while no other is on the way.
struct redisReply *connection_ask(struct connection *connection, int argc, const char *const *argv,
                                  char *error, size_t error_size);

// One line for an error that Redis answered: its own words, and `remedy` (may be NULL) or what helps against
// those that have an obvious one.
void connection_explain(const struct connection *connection, const char *said, const char *remedy,
                        char *error, size_t error_size);
