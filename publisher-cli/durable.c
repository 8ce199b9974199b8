#include "publisher-cli/durable.h"

#include "common/function_library.h"
#include "publisher-cli/install.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void durable_init(struct durable *durable, const struct durable_settings *settings)
{
    *durable = (struct durable){
        .event = settings->event ? settings->event : "",
        .has_keep = settings->keep > 0,
        .has_keep_for = settings->keep_for_ms > 0,
    };
    if (settings->has_retry)
        snprintf(durable->retry, sizeof(durable->retry), "%" PRIu32, settings->retry_ms);
    snprintf(durable->keep, sizeof(durable->keep), "%" PRIu64, settings->keep);
    snprintf(durable->keep_for, sizeof(durable->keep_for), "%" PRIu64, (settings->keep_for_ms + 999) / 1000);
}

static const char *const by_function[] = {"FCALL", "sse_publish"};
// By the name under which Redis knows the script once it has seen all of it.
static const char *const by_script[] = {"EVALSHA", function_library_script_sha1};

static int compose(struct durable *durable, const char *const how[2], const char *channel, const char *data,
                   size_t len, const char **argv, size_t *lengths)
{
    int argc = 0, data_at;

    // Not the channel itself, for a cluster that moves its slot (common/sse.lua).
    snprintf(durable->key, sizeof(durable->key), "sse:{%s}", channel);
    argv[argc++] = how[0];
    argv[argc++] = how[1];
    argv[argc++] = "1"; // key
    argv[argc++] = durable->key;
    data_at = argc;
    argv[argc++] = data;
    argv[argc++] = durable->event;
    argv[argc++] = durable->retry;
    if (durable->has_keep) {
        argv[argc++] = "maxlen";
        argv[argc++] = durable->keep;
    }
    if (durable->has_keep_for) {
        argv[argc++] = "maxage";
        argv[argc++] = durable->keep_for;
    }
    if (durable->sharded) {
        argv[argc++] = "pubsub";
        argv[argc++] = "sharded";
    }
    for (int i = 0; i < argc; i++)
        lengths[i] = i == data_at ? len : strlen(argv[i]);
    return argc;
}

int durable_command(struct durable *durable, const char *channel, const char *data, size_t len,
                    const char **argv, size_t *lengths)
{
    return compose(durable, durable->by_script ? by_script : by_function, channel, data, len, argv, lengths);
}

static bool is_error(const struct redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

// Redis before 7, or a user whose ACL has no FCALL. That the ACL forbids what the function does says the same
// of the script, and is no reason to try it.
static bool no_functions(const struct redisReply *reply)
{
    return is_error(reply, "ERR unknown command") ||
           (is_error(reply, "NOPERM") && strstr(reply->str, "'fcall'") != NULL);
}

static struct redisReply *ask(struct durable *durable, struct connection *connection,
                              const char *const how[2], const char *channel, const char *data, size_t len,
                              char *error, size_t error_size)
{
    const char *argv[DURABLE_ARGS_MAX];
    size_t lengths[DURABLE_ARGS_MAX];
    int argc = compose(durable, how, channel, data, len, argv, lengths);

    if (!connection_append(connection, argc, argv, lengths, error, error_size))
        return NULL;
    return connection_reply(connection, error, error_size);
}

// The script, unlike the function, does not ask whether it is on a cluster (common/sse.lua). An error, as
// from a server without one, says no.
static bool on_cluster(struct connection *connection, const char *channel, bool *answer, char *error,
                       size_t error_size)
{
    struct redisReply *reply =
        connection_ask(connection, 3, (const char *[]){"CLUSTER", "KEYSLOT", channel}, error, error_size);

    if (reply == NULL)
        return false;
    *answer = reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return true;
}

static struct redisReply *first_by_script(struct durable *durable, struct connection *connection, bool old,
                                          const char *channel, const char *data, size_t len, char *error,
                                          size_t error_size)
{
    const char *const whole[] = {"EVAL", function_library_script()};
    struct redisReply *reply;

    durable->by_script = true;
    // Sharded Pub/Sub came with functions.
    if (!old && !on_cluster(connection, channel, &durable->sharded, error, error_size))
        return NULL;
    reply = ask(durable, connection, by_script, channel, data, len, error, error_size);
    if (reply == NULL || !is_error(reply, "NOSCRIPT"))
        return reply;
    freeReplyObject(reply);
    return ask(durable, connection, whole, channel, data, len, error, error_size);
}

struct redisReply *durable_first(struct durable *durable, struct connection *connection, const char *channel,
                                 const char *data, size_t len, char *error, size_t error_size)
{
    struct redisReply *reply;
    long long version;
    bool old;

    durable->by_script = durable->sharded = false;
    reply = ask(durable, connection, by_function, channel, data, len, error, error_size);
    if (reply && is_error(reply, "ERR Function not found")) {
        // Whether that worked, the next answer says; another publisher may have been faster.
        (void)install_library(connection, &version, error, error_size);
        freeReplyObject(reply);
        reply = ask(durable, connection, by_function, channel, data, len, error, error_size);
    }
    if (reply == NULL || !(no_functions(reply) || is_error(reply, "ERR Function not found")))
        return reply;
    old = is_error(reply, "ERR unknown command");
    freeReplyObject(reply);
    return first_by_script(durable, connection, old, channel, data, len, error, error_size);
}

bool durable_unknown(const struct redisReply *reply)
{
    return is_error(reply, "ERR Function not found") || is_error(reply, "NOSCRIPT");
}
