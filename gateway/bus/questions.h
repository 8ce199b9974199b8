// Questions of workers to one node's Redis (fanout/question.h), on a connection of their own. Each is answered
// once, by MAIL_ANSWER: with the answer of Redis; or without one, at once where Redis is away, as soon as the
// connection is lost, and where memory or the bound on questions is exhausted. No command is sent twice. The
// bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_env.h"
#include "gateway/fanout/question.h"

struct questions;

struct questions_settings {
    struct bus_env *env;         // borrowed
    const struct redis_url *url; // borrowed: the node's
    // On a cluster: the questions of the node that has a key now; NULL: of none for the moment. Both NULL
    // elsewhere.
    struct questions *(*owner)(void *ctx, const char *key, size_t len);
    void (*on_moved)(void *ctx, const char *error);
    void *ctx;
};

// Begins to connect. NULL when out of memory. `settings` is copied.
struct questions *questions_create(const struct questions_settings *settings);
// What is not answered by then goes to the node that has its key, or is answered without an answer of Redis.
void questions_destroy(struct questions *qs);

// Takes `q` of worker `worker`, which any node may be given. A question about two keys is asked at two nodes
// where their slots are.
void questions_ask(struct questions *qs, unsigned worker, struct question *q);
// Takes `q`, and sends it back: without an answer, unless q->is_answered.
void questions_tell(const struct bus_env *env, unsigned worker, struct question *q);
// The subscriber's connection is a new one, which may lead to another server.
void questions_reconnect(struct questions *qs);
