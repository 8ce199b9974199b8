#include "publisher-cli/publish.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages and bytes that may be on the way without an answer. Enough to hide the round trip, small enough to
// bound memory.
#define WINDOW_MESSAGES 256
#define WINDOW_BYTES (1 << 20)

struct publisher {
    redisContext *redis;
    char name[256]; // of the Redis, for errors
    uint64_t timeout_ms;
    size_t pending, pending_bytes;
    struct publisher_totals totals;
};

bool publisher_supports(const struct redis_url *url, char *error, size_t error_size)
{
    static const char *const unsupported[] = {
        [REDIS_URL_TLS] = "rediss:// (TLS)",
        [REDIS_URL_SENTINEL] = "redis+sentinel://",
        [REDIS_URL_CLUSTER] = "redis+cluster://",
    };

    if (url->user && url->password == NULL) {
        snprintf(error, error_size,
                 "there is a user but no password; a password alone is written redis://:PASSWORD@HOST");
        return false;
    }
    if (url->kind == REDIS_URL_TCP || url->kind == REDIS_URL_UNIX)
        return true;
    snprintf(error, error_size,
             "%s is not yet supported by sse-publish; use redis://HOST:PORT or redis+unix:///PATH",
             unsupported[url->kind]);
    return false;
}

// `context`->err is set. A read or write that timed out shows as EAGAIN.
static bool fail_connection(const struct publisher *publisher, char *error, size_t error_size)
{
    const redisContext *redis = publisher->redis;

    if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
        snprintf(error, error_size, "no answer from %s within %llu ms", publisher->name,
                 (unsigned long long)publisher->timeout_ms);
    else if (redis->err == REDIS_ERR_EOF)
        snprintf(error, error_size, "%s closed the connection", publisher->name);
    else
        snprintf(error, error_size, "lost the connection to %s: %s", publisher->name, redis->errstr);
    return false;
}

// Redis' own words, and what to do about those that have a remedy.
static bool fail_reply(const struct publisher *publisher, const char *said, char *error, size_t error_size)
{
    static const struct {
        const char *prefix, *remedy;
    } remedies[] = {
        {"NOAUTH", "; give user and password in the URL: redis://USER:PASSWORD@HOST"},
        {"WRONGPASS", "; check user and password in the URL (in it, % is written %25)"},
        {"NOPERM", "; the ACL of this user must allow it: +publish and &CHANNEL"},
    };
    const char *remedy = "";
    int len = (int)strnlen(said, 200);

    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        if (strncmp(said, remedies[i].prefix, strlen(remedies[i].prefix)) == 0)
            remedy = remedies[i].remedy;
    }
    if (len > 0 && said[len - 1] == '.')
        len--;
    snprintf(error, error_size, "%s refused: %.*s%s", publisher->name, len, said, remedy);
    return false;
}

// The answer to one command as a number; 0 for a status like OK.
static bool read_reply(struct publisher *publisher, long long *number, char *error, size_t error_size)
{
    redisReply *reply = NULL;
    bool ok;

    errno = 0;
    if (redisGetReply(publisher->redis, (void **)&reply) != REDIS_OK)
        return fail_connection(publisher, error, error_size);
    ok = reply->type != REDIS_REPLY_ERROR;
    *number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    if (!ok)
        fail_reply(publisher, reply->str, error, error_size);
    freeReplyObject(reply);
    return ok;
}

static bool append(struct publisher *publisher, int argc, const char **argv, const size_t *lengths,
                   char *error, size_t error_size)
{
    if (redisAppendCommandArgv(publisher->redis, argc, argv, lengths) == REDIS_OK)
        return true;
    snprintf(error, error_size, "out of memory");
    return false;
}

static bool command(struct publisher *publisher, int argc, const char **argv, char *error, size_t error_size)
{
    size_t lengths[4];
    long long ignored;

    for (int i = 0; i < argc; i++)
        lengths[i] = strlen(argv[i]);
    return append(publisher, argc, argv, lengths, error, error_size) &&
           read_reply(publisher, &ignored, error, error_size);
}

static bool authenticate(struct publisher *publisher, const struct redis_url *url, char *error,
                         size_t error_size)
{
    if (url->password == NULL)
        return true;
    if (url->user)
        return command(publisher, 3, (const char *[]){"AUTH", url->user, url->password}, error, error_size);
    return command(publisher, 2, (const char *[]){"AUTH", url->password}, error, error_size);
}

static bool select_db(struct publisher *publisher, unsigned db, char *error, size_t error_size)
{
    char number[16];

    if (db == 0)
        return true;
    snprintf(number, sizeof(number), "%u", db);
    return command(publisher, 2, (const char *[]){"SELECT", number}, error, error_size);
}

static bool connect_redis(struct publisher *publisher, const struct redis_url *url, char *error,
                          size_t error_size)
{
    struct timeval timeout = {(time_t)(publisher->timeout_ms / 1000),
                              (suseconds_t)(publisher->timeout_ms % 1000) * 1000};

    publisher->redis = url->kind == REDIS_URL_UNIX
                           ? redisConnectUnixWithTimeout(url->unix_path, timeout)
                           : redisConnectWithTimeout(url->endpoints[0].host, url->endpoints[0].port, timeout);
    if (publisher->redis == NULL) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    if (publisher->redis->err) {
        snprintf(error, error_size, "cannot reach %s: %s", publisher->name, publisher->redis->errstr);
        return false;
    }
    if (redisSetTimeout(publisher->redis, timeout) != REDIS_OK)
        return fail_connection(publisher, error, error_size);
    return authenticate(publisher, url, error, error_size) &&
           select_db(publisher, url->db, error, error_size);
}

struct publisher *publisher_create(const struct redis_url *url, uint64_t timeout_ms, char *error,
                                   size_t error_size)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    publisher->timeout_ms = timeout_ms;
    redis_url_describe(url, publisher->name, sizeof(publisher->name));
    if (connect_redis(publisher, url, error, error_size))
        return publisher;
    publisher_destroy(publisher);
    return NULL;
}

void publisher_destroy(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    if (publisher->redis)
        redisFree(publisher->redis);
    free(publisher);
}

bool publisher_send(struct publisher *publisher, const char *channel, const char *payload, size_t len,
                    char *error, size_t error_size)
{
    const char *argv[] = {"PUBLISH", channel, payload};
    const size_t lengths[] = {strlen("PUBLISH"), strlen(channel), len};

    if (!append(publisher, 3, argv, lengths, error, error_size))
        return false;
    publisher->pending++;
    publisher->pending_bytes += len;
    if (publisher->pending < WINDOW_MESSAGES && publisher->pending_bytes < WINDOW_BYTES)
        return true;
    return publisher_flush(publisher, error, error_size);
}

static void count(struct publisher_totals *totals, uint64_t receivers)
{
    if (totals->messages == 0 || receivers < totals->receivers_min)
        totals->receivers_min = receivers;
    if (receivers > totals->receivers_max)
        totals->receivers_max = receivers;
    totals->messages++;
}

bool publisher_flush(struct publisher *publisher, char *error, size_t error_size)
{
    long long receivers;

    while (publisher->pending > 0) {
        if (!read_reply(publisher, &receivers, error, error_size))
            return false;
        publisher->pending--;
        count(&publisher->totals, (uint64_t)receivers);
    }
    publisher->pending_bytes = 0;
    return true;
}

struct publisher_totals publisher_totals(const struct publisher *publisher)
{
    return publisher->totals;
}
