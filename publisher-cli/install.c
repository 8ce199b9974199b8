#include "publisher-cli/install.h"

#include "common/function_library.h"

#include <hiredis/hiredis.h>
#include <string.h>

// `reply` is taken.
static enum install_result refused(const struct connection *connection, struct redisReply *reply,
                                   struct failure *failure)
{
    const char *remedy = NULL;
    if (strncmp(reply->str, "ERR unknown command", 19) == 0)
        remedy = "; functions need Redis 7 (sse-publish --durable does without)";
    else if (strncmp(reply->str, "NOPERM", 6) == 0)
        remedy = "; the ACL of this user must allow it: +fcall_ro and +function|load";
    (void)connection_refused(connection, reply->str, remedy, failure);
    freeReplyObject(reply);
    return INSTALL_FAILED;
}

// REPLACE only where the version to be replaced is known: neither a library that was loaded in between, nor
// another one of the same name.
static enum install_result load(struct connection *connection, bool replace, struct failure *failure)
{
    const char *first[] = {"FUNCTION", "LOAD", function_library_text, NULL};
    const char *again[] = {"FUNCTION", "LOAD", "REPLACE", function_library_text, NULL};
    struct redisReply *reply = connection_ask(connection, replace ? again : first, failure);
    if (reply == NULL)
        return INSTALL_FAILED;
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(connection, reply, failure);
    freeReplyObject(reply);
    return replace ? INSTALL_REPLACED : INSTALL_LOADED;
}

enum install_result install_library(struct connection *connection, long long *version,
                                    struct failure *failure)
{
    struct redisReply *reply =
        connection_ask(connection, (const char *[]){"FCALL_RO", "sse_version", "0", NULL}, failure);
    *version = -1;
    if (reply == NULL)
        return INSTALL_FAILED;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR Function not found", 22) != 0)
        return refused(connection, reply, failure);
    *version = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    if (*version >= function_library_version)
        return INSTALL_KEPT;
    return load(connection, *version >= 0, failure);
}
