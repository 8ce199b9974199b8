#include "gateway/redis/function_loader.h"

#include <string.h>

#include "common/container_of.h"
#include "common/function_library.h"
#include "common/log.h"

static bool send_version(const struct command *c, struct redis_conn *conn)
{
    (void)c;
    const char *argv[] = {"FCALL_RO", "sse_version", "0"};
    return redis_conn_send(conn, 3, argv, NULL);
}

static bool send_load(const struct command *c, struct redis_conn *conn)
{
    (void)c;
    const char *argv[] = {"FUNCTION", "LOAD", "REPLACE", function_library_text};
    return redis_conn_send(conn, 4, argv, NULL);
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

static void on_load(void *ctx, struct command *c, const struct command_answer *answer)
{
    (void)ctx;
    struct function_loader *l = container_of(c, struct function_loader, load);
    l->asked = false;
    if (!answer->reply)
        return;
    if (answer->reply->type != REDIS_REPLY_ERROR)
        log_info("redis", "loaded the function library sse, version %d: FCALL sse_publish is there",
                 function_library_version);
    else if (!l->told)
        log_info("redis",
                 "the function library sse could not be loaded: %s; sse-publish --install does it, too",
                 answer->reply->str);
    l->told = answer->reply->type == REDIS_REPLY_ERROR;
}

static void forget_load(void *ctx, struct command *c)
{
    (void)ctx;
    container_of(c, struct function_loader, load)->asked = false;
}

static const struct command_kind load_kind = {
    .of_connection = true,
    .send = send_load,
    .fits = fits,
    .is_final = is_final,
    .answer = on_load,
    .forget = forget_load,
};

static void on_version(void *ctx, struct command *c, const struct command_answer *answer)
{
    (void)ctx;
    struct function_loader *l = container_of(c, struct function_loader, version);
    const redisReply *r = answer->reply;
    bool current = r && r->type == REDIS_REPLY_INTEGER && r->integer >= function_library_version;
    bool denied = r && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOPERM", 6) == 0;
    l->load.kind = &load_kind;
    l->asked = r && !current && !denied && commands_add(l->queue, &l->load);
}

static void forget_version(void *ctx, struct command *c)
{
    (void)ctx;
    container_of(c, struct function_loader, version)->asked = false;
}

static const struct command_kind version_kind = {
    .of_connection = true,
    .send = send_version,
    .fits = fits,
    .is_final = is_final,
    .answer = on_version,
    .forget = forget_version,
};

void function_loader_init(struct function_loader *l, struct commands *queue)
{
    *l = (struct function_loader){.queue = queue};
}

void function_loader_check(struct function_loader *l)
{
    if (l->asked)
        return;
    l->version.kind = &version_kind;
    l->asked = commands_add(l->queue, &l->version);
}
