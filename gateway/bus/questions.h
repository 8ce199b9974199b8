// Questions of workers to one node's Redis (fanout/question.h), on a connection of their own. Each is answered
// once, by MAIL_ANSWER: with the answer of Redis; or without one, at once where Redis is away, as soon as the
// connection is lost, and where memory or the bound on questions is exhausted. No command is sent twice. The
// bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/bus/node.h"
#include "gateway/fanout/question.h"

struct command;
struct questions;

// Begins to connect to the server of `n` (borrowed). NULL when out of memory.
struct questions *questions_create(struct node *n);
// What is not answered by then goes to the node that has its key, or is answered without an answer of Redis.
void questions_destroy(struct questions *qs);

// Takes `q` of worker `worker`, which any node may be given. A question about two keys is asked at two nodes
// where their slots are.
void questions_ask(struct questions *qs, unsigned worker, struct question *q);
// Takes `q`, and sends it back: without an answer, unless q->is_answered.
void questions_tell(const struct bus_env *env, unsigned worker, struct question *q);
// Adds a command of another module, of_connection. False where too much is asked at once: it stays the caller's.
bool questions_add(struct questions *qs, struct command *c);
// Its connection, to be looked at.
const struct redis_conn *questions_conn(const struct questions *qs);
// Why nothing can be asked, in one line without the address; empty where it can.
const char *questions_fault(const struct questions *qs);
// The subscriber's connection is a new one, which may lead to another server.
void questions_reconnect(struct questions *qs);
