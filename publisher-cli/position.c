#include "publisher-cli/position.h"

#include "common/buf.h"
#include "common/pattern.h"
#include "publisher-cli/channel.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/install.h"
#include "publisher-cli/keyed.h"
#include "publisher-cli/target.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE (sizeof("sse:{}") + CHANNEL_NAME_MAX)
#define POSITION_TEXT_MAX 4096u // bytes that a gateway takes as last_event_id

struct positions {
    const struct redis_target *target;
    struct connection *connection;
    struct buf text; // cursors, with commas between them
};

static bool is_error(const struct redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

static const char *remedy_of(const struct redisReply *reply)
{
    if (is_error(reply, "ERR unknown command"))
        return "; positions need functions, which came with Redis 7";
    if (is_error(reply, "ERR Function not found"))
        return "; load the functions: sse-publish --install";
    if (is_error(reply, "NOPERM"))
        return "; the ACL of this user must allow it: +fcall_ro +xrevrange +time and %R~sse:{CHANNEL}";
    return NULL;
}

// Redis' answer, from a server with the function: one that lacks it is given the library, if this user may do that.
static struct redisReply *ask(struct positions *positions, const char *const *words, struct failure *failure)
{
    struct redisReply *reply = keyed_ask(positions->target, &positions->connection, words, failure);
    if (!reply || !is_error(reply, "ERR Function not found"))
        return reply;
    long long version;
    freeReplyObject(reply);
    (void)install_library(positions->connection, &version,
                          failure); // the next answer shows whether that worked
    return keyed_ask(positions->target, &positions->connection, words, failure);
}

static bool take(struct positions *positions, const struct redisReply *reply, struct failure *failure)
{
    if (reply->type != REDIS_REPLY_STRING)
        return connection_refused(positions->connection,
                                  reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer makes no sense",
                                  remedy_of(reply), failure);
    if (positions->text.len + (positions->text.len > 0) + reply->len > POSITION_TEXT_MAX)
        return failure_set(failure,
                           "the position of so many channels has more than %u bytes, which no gateway takes; "
                           "ask for fewer, and open a stream for each part",
                           POSITION_TEXT_MAX);
    return ((positions->text.len == 0 || buf_append(&positions->text, ",", 1)) &&
            buf_append(&positions->text, reply->str, reply->len)) ||
           failure_out_of_memory(failure);
}

// Asks for the channels, which have one owner.
static bool add(struct positions *positions, char *const *channels, size_t count, struct failure *failure)
{
    char keys[POSITION_CHANNELS_MAX][KEY_SIZE], number[24];
    const char *words[3 + POSITION_CHANNELS_MAX + 1] = {"FCALL_RO", "sse_position", number};
    snprintf(number, sizeof number, "%zu", count);
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "sse:{%s}", channels[i]);
        words[3 + i] = keys[i];
    }
    struct redisReply *reply = ask(positions, words, failure);
    bool ok = reply && take(positions, reply, failure);
    freeReplyObject(reply);
    return ok;
}

static enum exit_status print(const struct settings *settings, const struct buf *text)
{
    printf(settings->json ? "{\"position\":\"%.*s\"}\n" : "%.*s\n", (int)text->len, text->data);
    return EXIT_DONE;
}

static enum exit_status find(const struct settings *settings, const struct redis_url *url,
                             const struct redis_target *target, char *const *channels, size_t count)
{
    struct positions positions = {.target = target};
    struct failure failure;
    // A cluster takes no command with keys of different slots.
    size_t at_once = url->kind == REDIS_URL_CLUSTER ? 1 : count;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i += at_once)
        ok = add(&positions, channels + i, at_once, &failure);
    enum exit_status status = ok ? print(settings, &positions.text) : fail(EXIT_REFUSED, failure.text);
    connection_close(positions.connection);
    buf_free(&positions.text);
    return status;
}

enum exit_status position_command(const struct settings *settings, int argc, char **argv)
{
    struct redis_url url = {0};
    struct redis_target target = {0};
    struct failure failure;
    bool ok = true;
    for (int i = 0; ok && i < argc; i++)
        ok = channel_check(argv[i], &failure);
    enum exit_status status = ok && target_init(settings, &url, &target, &failure)
                                  ? find(settings, &url, &target, argv, (size_t)argc)
                                  : fail(EXIT_USAGE, failure.text);
    redis_url_deinit(&url);
    return status;
}
