#include "publisher-cli/push.h"

#include "publisher-cli/discovery.h"

#include <hiredis/hiredis.h>
#include <string.h>

#define HOPS_MAX 5 // MOVED answers to one subscription

static bool is_text(const struct redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

const struct redisReply *push_text(const struct redisReply *push)
{
    bool is_message = push->type == REDIS_REPLY_ARRAY && push->elements == 3 &&
                      (is_text(push->element[0], "message") || is_text(push->element[0], "smessage")) &&
                      push->element[2]->type == REDIS_REPLY_STRING;
    return is_message ? push->element[2] : NULL;
}

struct connection *push_subscribe(const struct redis_target *target, const char *channel, const char *remedy,
                                  struct failure *failure)
{
    const char *words[] = {target->url->sharded ? "SSUBSCRIBE" : "SUBSCRIBE", channel, NULL};
    struct connection *connection = discovery_open(target, failure);
    for (int hops = 0; connection; hops++) {
        struct redisReply *reply = connection_ask(connection, words, failure);
        if (reply && reply->type != REDIS_REPLY_ERROR) {
            freeReplyObject(reply);
            return connection;
        }
        struct connection *next = NULL;
        if (reply && hops < HOPS_MAX && discovery_redirection(reply) == REDIRECTION_MOVED)
            next = discovery_follow(target, connection, reply, failure);
        else if (reply)
            (void)connection_refused(connection, reply->str,
                                     strncmp(reply->str, "NOPERM", 6) == 0 ? remedy : NULL, failure);
        freeReplyObject(reply);
        connection_close(connection);
        connection = next;
    }
    return NULL;
}
