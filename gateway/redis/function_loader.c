#include "gateway/redis/function_loader.h"

#include <string.h>

#include "common/container_of.h"
#include "common/function_library.h"
#include "common/log.h"

static struct function_loader *loader_of(const struct command *c)
{
    return container_of(c, struct function_loader, command);
}

static bool on_send(const struct command *c, struct redis_conn *conn)
{
    const char *version[] = {"FCALL_RO", "sse_version", "0"};
    const char *load[] = {"FUNCTION", "LOAD", "REPLACE", function_library_text};
    return loader_of(c)->loads ? redis_conn_send(conn, 4, load, NULL)
                               : redis_conn_send(conn, 3, version, NULL);
}

static bool fits(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type != REDIS_REPLY_ARRAY;
}

// Any other answer is ignored: the next connection asks again.
static bool is_final(const struct command *c, const char *error)
{
    (void)c, (void)error;
    return true;
}

static void take_version(struct function_loader *l, const redisReply *reply)
{
    bool current = reply->type == REDIS_REPLY_INTEGER && reply->integer >= function_library_version;
    bool denied = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
    l->loads = !current && !denied;
    l->asked = l->loads && commands_add(l->queue, &l->command);
}

static void take_load(struct function_loader *l, const redisReply *reply)
{
    bool failed = reply->type == REDIS_REPLY_ERROR;
    if (!failed)
        log_info("redis", "loaded the function library sse, version %d: FCALL sse_publish is there",
                 function_library_version);
    else if (!l->told)
        log_info("redis",
                 "the function library sse could not be loaded: %s; sse-publish --install does it, too",
                 reply->str);
    l->told = failed;
}

static void on_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    (void)ctx;
    struct function_loader *l = loader_of(c);
    l->asked = false;
    if (answer->reply && l->loads)
        take_load(l, answer->reply);
    else if (answer->reply)
        take_version(l, answer->reply);
}

static void on_forget(void *ctx, struct command *c)
{
    (void)ctx;
    loader_of(c)->asked = false;
}

static const struct command_kind kind = {
    .of_connection = true,
    .send = on_send,
    .fits = fits,
    .is_final = is_final,
    .answer = on_answer,
    .forget = on_forget,
};

void function_loader_check(struct function_loader *l)
{
    if (l->asked)
        return;
    l->command.kind = &kind;
    l->loads = false;
    l->asked = commands_add(l->queue, &l->command);
}
