#include "publisher-cli/install.h"

#include "common/function_library.h"

#include <hiredis/hiredis.h>
#include <string.h>

static enum install_result refused(const struct connection *connection, struct redisReply *reply, char *error,
                                   size_t error_size)
{
    const char *remedy = NULL;

    if (strncmp(reply->str, "ERR unknown command", 19) == 0)
        remedy = "; functions need Redis 7 (sse-publish --durable does without)";
    else if (strncmp(reply->str, "NOPERM", 6) == 0)
        remedy = "; the ACL of this user must allow it: +fcall_ro and +function|load";
    connection_explain(connection, reply->str, remedy, error, error_size);
    freeReplyObject(reply);
    return INSTALL_FAILED;
}

// REPLACE only where it is known what is replaced: not a library that came in between, nor a stranger of this
// name.
static enum install_result load(struct connection *connection, bool replace, char *error, size_t error_size)
{
    const char *first[] = {"FUNCTION", "LOAD", function_library_text};
    const char *again[] = {"FUNCTION", "LOAD", "REPLACE", function_library_text};
    struct redisReply *reply = replace ? connection_ask(connection, 4, again, error, error_size)
                                       : connection_ask(connection, 3, first, error, error_size);

    if (reply == NULL)
        return INSTALL_FAILED;
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(connection, reply, error, error_size);
    freeReplyObject(reply);
    return replace ? INSTALL_REPLACED : INSTALL_LOADED;
}

enum install_result install_library(struct connection *connection, long long *version, char *error,
                                    size_t error_size)
{
    struct redisReply *reply =
        connection_ask(connection, 3, (const char *[]){"FCALL_RO", "sse_version", "0"}, error, error_size);

    *version = -1;
    if (reply == NULL)
        return INSTALL_FAILED;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR Function not found", 22) != 0)
        return refused(connection, reply, error, error_size);
    *version = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    if (*version >= function_library_version)
        return INSTALL_KEPT;
    return load(connection, *version >= 0, error, error_size);
}
