// What is asked about histories: the commands, and what an answer to them looks like. history.c keeps the
// requests.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "gateway/fanout/hub.h"
#include "gateway/redis/redis_conn.h"

enum request_kind { ASK_LAST, ASK_PAGE, ASK_LIBRARY, LOAD_LIBRARY };

struct request {
    TAILQ_ENTRY(request) in_list;
    enum request_kind kind;
    unsigned tries;
    uint64_t asked_ms;
    union {
        uint64_t number; // ASK_LAST
        struct {
            unsigned worker;
            struct history_query query;
        } page; // ASK_PAGE
    };
    size_t len;
    char channel[];
};

TAILQ_HEAD(request_list, request);

// Queues the command; its answer comes by the connection's on_reply. False when out of memory or not
// connected.
bool request_send(const struct request *r, struct redis_conn *conn);
// Whether `reply` can be the answer, an error among them.
bool request_is_answered_by(const struct request *r, const redisReply *reply);
