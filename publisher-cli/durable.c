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
        .key_text = settings->key,
        .pubsub = settings->pubsub,
        .traceparent = settings->traceparent,
        .trace_to = settings->trace_to,
        .after = settings->after,
        .has_keep = settings->keep > 0,
        .has_keep_for = settings->keep_for_ms > 0,
        .has_keep_bytes = settings->keep_bytes > 0,
        .has_end = settings->end_ms > 0,
        .is_fenced = settings->is_fenced,
        .is_snapshot = settings->is_snapshot,
    };
    // Not the channel itself, for a cluster that moves its slot (common/sse/).
    snprintf(durable->key, sizeof durable->key, "sse:{%s}", channel);
    if (settings->has_retry)
        snprintf(durable->retry, sizeof durable->retry, "%" PRIu32, settings->retry_ms);
    snprintf(durable->keep, sizeof durable->keep, "%" PRIu64, settings->keep);
    snprintf(durable->keep_for, sizeof durable->keep_for, "%" PRIu64, (settings->keep_for_ms + 999) / 1000);
    snprintf(durable->keep_bytes, sizeof durable->keep_bytes, "%" PRIu64, settings->keep_bytes);
    snprintf(durable->end, sizeof durable->end, "%" PRIu64, (settings->end_ms + 999) / 1000);
}

// sse_append takes no retry time, and only its first event may be a snapshot.
size_t durable_batch(const struct durable *durable)
{
    bool is_single = durable->by_script || durable->lacks_append || durable->retry[0] || durable->is_snapshot;
    return is_single ? 1 : DURABLE_BATCH_MAX;
}

bool durable_is_ordered(const struct durable *durable)
{
    return durable->is_fenced || durable->has_end;
}

bool durable_has_key(const struct durable *durable)
{
    return durable->key_text != NULL;
}

static void add_option(struct command *command, bool is_given, const char *name, const char *value)
{
    if (!is_given)
        return;
    command_add_text(command, name);
    command_add_text(command, value);
}

static void add_options(struct durable *durable, const struct durable_events *events, struct command *command)
{
    bool is_last = events->first + events->count - 1 == events->last;
    snprintf(durable->after_text, sizeof durable->after_text, "%" PRIu64, durable->after + events->first - 1);
    add_option(command, durable->has_keep, "maxlen", durable->keep);
    add_option(command, durable->has_keep_for, "maxage", durable->keep_for);
    add_option(command, durable->has_keep_bytes, "maxbytes", durable->keep_bytes);
    add_option(command, durable->is_snapshot, "snapshot", "1");
    add_option(command, durable->key_text, "key", durable->key_text);
    add_option(command, durable->is_fenced, "after", durable->after_text);
    add_option(command, durable->has_end && is_last, "end", durable->end);
    add_option(command, durable->pubsub || durable->sharded, "pubsub",
               durable->pubsub ? durable->pubsub : "sharded");
    add_option(command, durable->traceparent, "traceparent", durable->traceparent);
    add_option(command, durable->traceparent, "trace-to", durable->trace_to);
}

// `by` and `of`: FCALL and a function, EVAL and the script, or EVALSHA and its SHA1, under which Redis has the script once
// EVAL has sent all of it.
static void compose(struct durable *durable, const char *by, const char *of,
                    const struct durable_events *events, struct command *command)
{
    command_begin(command);
    command_add_text(command, by);
    command_add_text(command, of);
    command_add_text(command, "1"); // key
    command_add_text(command, durable->key);
    if (events->count > 1) {
        snprintf(durable->count_text, sizeof durable->count_text, "%zu", events->count);
        command_add_text(command, durable->count_text);
        for (size_t i = 0; i < events->count; i++) {
            command_add_text(command, durable->event);
            command_add(command, events->datas[i].bytes, events->datas[i].len);
        }
    } else {
        command_add(command, events->datas[0].bytes, events->datas[0].len);
        command_add_text(command, durable->event);
        command_add_text(command, durable->retry);
    }
    add_options(durable, events, command);
}

void durable_command(struct durable *durable, const struct durable_events *events, struct command *command)
{
    if (durable->by_script)
        compose(durable, "EVALSHA", function_library_script_sha1, events, command);
    else
        compose(durable, "FCALL", events->count > 1 ? "sse_append" : "sse_publish", events, command);
}

static bool is_error(const struct redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

static bool is_missing(const struct redisReply *reply)
{
    return is_error(reply, "ERR Function not found");
}

// The library is from before one of the options.
static bool is_outdated(const struct redisReply *reply)
{
    return is_error(reply, "ERR sse_publish: there is no option") ||
           is_error(reply, "ERR sse_append: there is no option");
}

// Redis before 7, or a user whose ACL has no FCALL. An ACL that forbids what the function does forbids it to
// the script as well, and is no reason to try the script.
static bool no_functions(const struct redisReply *reply)
{
    return is_error(reply, "ERR unknown command") ||
           (is_error(reply, "NOPERM") && strstr(reply->str, "'fcall'") != NULL);
}

static struct redisReply *ask(struct connection *connection, const struct command *command,
                              struct failure *failure)
{
    return connection_append(connection, command, failure) ? connection_reply(connection, failure) : NULL;
}

static struct redisReply *ask_durable(struct durable *durable, struct connection *connection,
                                      struct durable_events *events, struct failure *failure)
{
    struct command command;
    size_t batch = durable_batch(durable);
    events->count = events->count < batch ? events->count : batch;
    durable_command(durable, events, &command);
    return ask(connection, &command, failure);
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
                                          struct durable_events *events, struct failure *failure)
{
    struct command whole;
    durable->by_script = true;
    struct redisReply *reply = ask_durable(durable, connection, events, failure);
    if (reply == NULL || !is_error(reply, "NOSCRIPT"))
        return reply;
    freeReplyObject(reply);
    compose(durable, "EVAL", function_library_script(), events, &whole);
    return ask(connection, &whole, failure);
}

static struct redisReply *first_by_function(struct durable *durable, struct connection *connection,
                                            struct durable_events *events, struct failure *failure)
{
    struct redisReply *reply = ask_durable(durable, connection, events, failure);
    if (reply && (is_missing(reply) || is_outdated(reply))) {
        long long version;
        // The next answer shows whether that worked; another publisher may have loaded it first.
        (void)install_library(connection, &version, failure);
        freeReplyObject(reply);
        reply = ask_durable(durable, connection, events, failure);
    }
    if (reply && is_missing(reply) && events->count > 1) { // the library may be one from before sse_append
        durable->lacks_append = true;
        freeReplyObject(reply);
        reply = ask_durable(durable, connection, events, failure);
    }
    return reply;
}

struct redisReply *durable_first(struct durable *durable, struct connection *connection,
                                 struct durable_events *events, struct failure *failure)
{
    durable->by_script = durable->lacks_append = durable->sharded = false;
    struct redisReply *reply = first_by_function(durable, connection, events, failure);
    if (reply == NULL || !(no_functions(reply) || is_missing(reply)))
        return reply;
    bool has_functions = !is_error(reply, "ERR unknown command");
    freeReplyObject(reply);
    // Sharded Pub/Sub came with functions.
    if (has_functions && !find_sharded(durable, connection, failure))
        return NULL;
    return first_by_script(durable, connection, events, failure);
}

bool durable_unknown(const struct redisReply *reply)
{
    return is_missing(reply) || is_error(reply, "NOSCRIPT");
}

bool durable_fenced(const struct redisReply *reply)
{
    return is_error(reply, "FENCED ");
}

const char *durable_remedy(const struct redisReply *reply)
{
    if (is_error(reply, "NOPERM") && strstr(reply->str, "'eval"))
        return "; it is asked for lack of FCALL or its functions: allow +fcall, and load them "
               "(sse-publish --install)";
    if (is_error(reply, "NOPERM"))
        return "; sse-publish(1) has what its ACL must allow";
    if (is_outdated(reply))
        return "; the functions in this Redis are older than this sse-publish, and this user could not "
               "replace "
               "them: run sse-publish --install as one that may";
    return NULL;
}
