#include "publisher-cli/durable.h"

#include "common/function_library.h"
#include "publisher-cli/install.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void durable_init(struct durable *durable, const char *channel, const struct durable_settings *settings)
{
    *durable = (struct durable){
        .channel = channel,
        .event = settings->event ? settings->event : "",
        .pubsub = settings->pubsub,
        .traceparent = settings->traceparent,
        .trace_to = settings->trace_to,
        .has_keep = settings->keep > 0,
        .has_keep_for = settings->keep_for_ms > 0,
    };
    // Not the channel itself, for a cluster that moves its slot (common/sse/).
    snprintf(durable->key, sizeof durable->key, "sse:{%s}", channel);
    if (settings->has_retry)
        snprintf(durable->retry, sizeof durable->retry, "%" PRIu32, settings->retry_ms);
    snprintf(durable->keep, sizeof durable->keep, "%" PRIu64, settings->keep);
    snprintf(durable->keep_for, sizeof durable->keep_for, "%" PRIu64, (settings->keep_for_ms + 999) / 1000);
}

static const char *const by_function[] = {"FCALL", "sse_publish"};
// EVALSHA: Redis has the script under its SHA1 once EVAL has sent all of it.
static const char *const by_script[] = {"EVALSHA", function_library_script_sha1};

static void compose(const struct durable *durable, const char *const how[2], struct span data,
                    struct command *command)
{
    *command = (struct command){0};
    command_add_text(command, how[0]);
    command_add_text(command, how[1]);
    command_add_text(command, "1"); // key
    command_add_text(command, durable->key);
    command_add(command, data.bytes, data.len);
    command_add_text(command, durable->event);
    command_add_text(command, durable->retry);
    if (durable->has_keep) {
        command_add_text(command, "maxlen");
        command_add_text(command, durable->keep);
    }
    if (durable->has_keep_for) {
        command_add_text(command, "maxage");
        command_add_text(command, durable->keep_for);
    }
    if (durable->pubsub || durable->sharded) {
        command_add_text(command, "pubsub");
        command_add_text(command, durable->pubsub ? durable->pubsub : "sharded");
    }
    if (durable->traceparent) {
        command_add_text(command, "traceparent");
        command_add_text(command, durable->traceparent);
        command_add_text(command, "trace-to");
        command_add_text(command, durable->trace_to);
    }
}

void durable_command(const struct durable *durable, struct span data, struct command *command)
{
    compose(durable, durable->by_script ? by_script : by_function, data, command);
}

static bool is_error(const struct redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

// Redis before 7, or a user whose ACL has no FCALL. An ACL that forbids what the function does forbids it to
// the script as well, and is no reason to try the script.
static bool no_functions(const struct redisReply *reply)
{
    return is_error(reply, "ERR unknown command") ||
           (is_error(reply, "NOPERM") && strstr(reply->str, "'fcall'") != NULL);
}

static struct redisReply *ask(const struct durable *durable, struct connection *connection,
                              const char *const how[2], struct span data, struct failure *failure)
{
    struct command command;
    compose(durable, how, data, &command);
    return connection_append(connection, &command, failure) ? connection_reply(connection, failure) : NULL;
}

// The script, unlike the function, does not ask whether it is on a cluster (common/sse/). An error, as
// from a server without one, says no.
static bool find_sharded(struct durable *durable, struct connection *connection, struct failure *failure)
{
    struct redisReply *reply =
        connection_ask(connection, (const char *[]){"CLUSTER", "KEYSLOT", durable->channel, NULL}, failure);
    if (reply == NULL)
        return false;
    durable->sharded = reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return true;
}

static struct redisReply *first_by_script(struct durable *durable, struct connection *connection,
                                          struct span data, struct failure *failure)
{
    const char *const whole[] = {"EVAL", function_library_script()};
    durable->by_script = true;
    struct redisReply *reply = ask(durable, connection, by_script, data, failure);
    if (reply == NULL || !is_error(reply, "NOSCRIPT"))
        return reply;
    freeReplyObject(reply);
    return ask(durable, connection, whole, data, failure);
}

struct redisReply *durable_first(struct durable *durable, struct connection *connection, struct span data,
                                 struct failure *failure)
{
    durable->by_script = durable->sharded = false;
    struct redisReply *reply = ask(durable, connection, by_function, data, failure);
    if (reply && is_error(reply, "ERR Function not found")) {
        long long version;
        // The next answer shows whether that worked; another publisher may have loaded it first.
        (void)install_library(connection, &version, failure);
        freeReplyObject(reply);
        reply = ask(durable, connection, by_function, data, failure);
    }
    if (reply == NULL || !(no_functions(reply) || is_error(reply, "ERR Function not found")))
        return reply;
    bool has_functions = !is_error(reply, "ERR unknown command");
    freeReplyObject(reply);
    // Sharded Pub/Sub came with functions.
    if (has_functions && !find_sharded(durable, connection, failure))
        return NULL;
    return first_by_script(durable, connection, data, failure);
}

bool durable_unknown(const struct redisReply *reply)
{
    return is_error(reply, "ERR Function not found") || is_error(reply, "NOSCRIPT");
}
