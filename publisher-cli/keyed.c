#include "publisher-cli/keyed.h"

#include "common/clock.h"
#include "publisher-cli/discovery.h"

#include <hiredis/hiredis.h>
#include <poll.h>

#define RETRY_MS 20 // where the node that has the key cannot be reached, or says "later"

static struct redisReply *ask_elsewhere(const struct redis_target *target, const struct connection *from,
                                        const struct redisReply *reply, const char *const *words,
                                        struct failure *failure)
{
    struct connection *there = discovery_follow(target, from, reply, failure);
    struct redisReply *asking =
        there ? connection_ask(there, (const char *[]){"ASKING", NULL}, failure) : NULL;
    struct redisReply *answer = asking ? connection_ask(there, words, failure) : NULL;
    freeReplyObject(asking);
    connection_close(there);
    return answer;
}

// One try. What `redirection` says of the answer is where to try next.
static struct redisReply *ask_once(const struct redis_target *target, struct connection *connection,
                                   const char *const *words, enum redirection *redirection,
                                   struct failure *failure)
{
    struct redisReply *reply = connection_ask(connection, words, failure);
    if (reply && discovery_redirection(reply) == REDIRECTION_ASK) {
        struct redisReply *answer = ask_elsewhere(target, connection, reply, words, failure);
        freeReplyObject(reply);
        reply = answer;
    }
    *redirection = reply ? discovery_redirection(reply) : REDIRECTION_LATER;
    return reply;
}

struct redisReply *keyed_ask(const struct redis_target *target, struct connection **connection,
                             const char *const *words, struct failure *failure)
{
    uint64_t deadline = clock_monotonic_ms() + target->timeout_ms;
    if (*connection == NULL)
        *connection = discovery_open(target, failure);
    while (*connection) {
        enum redirection redirection;
        struct redisReply *reply = ask_once(target, *connection, words, &redirection, failure);
        bool is_late = clock_monotonic_ms() >= deadline;
        if (reply && (redirection == REDIRECTION_NONE || is_late))
            return reply;
        struct connection *next =
            redirection == REDIRECTION_MOVED ? discovery_follow(target, *connection, reply, failure) : NULL;
        freeReplyObject(reply);
        connection_close(*connection);
        *connection = next;
        if (!next && is_late)
            return NULL;
        if (!next) {
            (void)poll(NULL, 0, RETRY_MS);
            *connection = discovery_open(target, failure);
        }
    }
    return NULL;
}
