#include "publisher-cli/route.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool route_supports(const struct redis_url *url, char *error, size_t error_size)
{
    if (url->user && url->password == NULL) {
        snprintf(error, error_size,
                 "there is a user but no password; a password alone is written redis://:PASSWORD@HOST");
        return false;
    }
    return true;
}

enum route_advice route_advice(const struct redisReply *reply)
{
    static const struct {
        const char *prefix;
        enum route_advice advice;
    } table[] = {
        {"MOVED ", ROUTE_MOVED},
        {"ASK ", ROUTE_ASK},
        {"TRYAGAIN", ROUTE_LATER},
        {"CLUSTERDOWN", ROUTE_LATER},
    };

    for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strncmp(reply->str, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].advice;
    }
    return ROUTE_HERE;
}

// One server, with the credentials of `url`.
static struct connection *open_node(const struct redis_url *url, const char *host, unsigned short port,
                                    uint64_t timeout_ms, char *error, size_t error_size)
{
    struct redis_endpoint endpoint = {.host = (char *)host, .port = port}; // only read
    const struct redis_url node = {
        .kind = url->tls ? REDIS_URL_TLS : REDIS_URL_TCP,
        .tls = url->tls,
        .tls_files = url->tls_files,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .user = url->user,
        .password = url->password,
        .db = url->db,
    };

    return connection_open(&node, timeout_ms, error, error_size);
}

bool route_read_place(const struct redisReply *reply, const char *same_host, char host[REDIS_HOST_SIZE],
                      unsigned short *port)
{
    const char *address = strrchr(reply->str, ' '), *colon = strrchr(reply->str, ':');
    size_t len = address && colon && colon > address ? (size_t)(colon - address - 1) : REDIS_HOST_SIZE;
    char *end;
    unsigned long number;

    if (len >= REDIS_HOST_SIZE || colon[1] < '0' || colon[1] > '9')
        return false;
    number = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || number == 0 || number > 65535)
        return false;
    if (len > 0)
        snprintf(host, REDIS_HOST_SIZE, "%.*s", (int)len, address + 1);
    else
        snprintf(host, REDIS_HOST_SIZE, "%s", same_host);
    *port = (unsigned short)number;
    return true;
}

struct connection *route_follow(const struct redis_url *url, const struct connection *from,
                                const struct redisReply *reply, uint64_t timeout_ms, char *error,
                                size_t error_size)
{
    char host[REDIS_HOST_SIZE];
    unsigned short port;

    if (route_read_place(reply, connection_host(from), host, &port))
        return open_node(url, host, port, timeout_ms, error, error_size);
    snprintf(error, error_size, "%s sends to a place that makes no sense: %.100s", connection_name(from),
             reply->str);
    return NULL;
}

static bool is_text(const struct redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING && (text == NULL || strcmp(reply->str, text) == 0);
}

// What a sentinel answers may be old: only the server itself knows whether it is a master.
static bool is_master(struct connection *connection, char *error, size_t error_size)
{
    struct redisReply *reply = connection_ask(connection, 1, (const char *[]){"ROLE"}, error, error_size);
    bool ok = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
              is_text(reply->element[0], "master");

    if (reply && reply->type == REDIS_REPLY_ERROR)
        connection_explain(connection, reply->str, "; behind sentinels it is asked for its ROLE", error,
                           error_size);
    else if (reply && !ok)
        snprintf(error, error_size, "%s, the master that the sentinels name, is none (yet)",
                 connection_name(connection));
    freeReplyObject(reply);
    return ok;
}

// Sentinels are asked without credentials: those of the URL are for Redis.
static struct connection *ask_sentinel(const struct redis_url *url, const struct redis_endpoint *sentinel,
                                       uint64_t timeout_ms, char *error, size_t error_size)
{
    const struct redis_url no_credentials = {.tls = url->tls, .tls_files = url->tls_files};
    struct connection *found = NULL, *asked = open_node(&no_credentials, sentinel->host, sentinel->port,
                                                        timeout_ms, error, error_size);
    struct redisReply *reply;
    char *end;

    if (asked == NULL)
        return NULL;
    reply =
        connection_ask(asked, 3, (const char *[]){"SENTINEL", "get-master-addr-by-name", url->master_name},
                       error, error_size);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        is_text(reply->element[0], NULL) && is_text(reply->element[1], NULL)) {
        unsigned short port = (unsigned short)strtoul(reply->element[1]->str, &end, 10);

        found = open_node(url, reply->element[0]->str, port, timeout_ms, error, error_size);
    } else if (reply && reply->type == REDIS_REPLY_ERROR) {
        connection_explain(asked, reply->str, NULL, error, error_size);
    } else if (reply) {
        snprintf(error, error_size, "the sentinel %s knows no master named \"%s\"", connection_name(asked),
                 url->master_name);
    }
    freeReplyObject(reply);
    connection_close(asked);
    if (found && !is_master(found, error, error_size)) {
        connection_close(found);
        found = NULL;
    }
    return found;
}

struct connection *route_open(const struct redis_url *url, uint64_t timeout_ms, char *error,
                              size_t error_size)
{
    struct connection *connection = NULL;

    if (url->kind != REDIS_URL_SENTINEL && url->kind != REDIS_URL_CLUSTER)
        return connection_open(url, timeout_ms, error, error_size);
    for (size_t i = 0; connection == NULL && i < url->endpoint_count; i++)
        connection = url->kind == REDIS_URL_SENTINEL
                         ? ask_sentinel(url, &url->endpoints[i], timeout_ms, error, error_size)
                         : open_node(url, url->endpoints[i].host, url->endpoints[i].port, timeout_ms, error,
                                     error_size);
    return connection;
}

// An element of CLUSTER SLOTS is: first slot, last slot, master (host, port, id), replicas.
static const struct redisReply *master_of(const struct redisReply *range)
{
    const struct redisReply *master =
        range->type == REDIS_REPLY_ARRAY && range->elements > 2 ? range->element[2] : NULL;

    return master && master->type == REDIS_REPLY_ARRAY && master->elements >= 2 &&
                   master->element[1]->type == REDIS_REPLY_INTEGER
               ? master
               : NULL;
}

// A master has many ranges of slots; it counts at its first.
static bool seen_before(const struct redisReply *slots, size_t at)
{
    const struct redisReply *master = master_of(slots->element[at]);

    for (size_t i = 0; i < at; i++) {
        const struct redisReply *other = master_of(slots->element[i]);

        if (other && other->element[1]->integer == master->element[1]->integer &&
            strcmp(other->element[0]->str ? other->element[0]->str : "",
                   master->element[0]->str ? master->element[0]->str : "") == 0)
            return true;
    }
    return false;
}

static bool visit_master(const struct redis_url *url, const char *host, long long port, uint64_t timeout_ms,
                         bool (*visit)(struct connection *, void *ctx, char *error, size_t error_size),
                         void *ctx, char *error, size_t error_size)
{
    struct connection *node = open_node(url, host, (unsigned short)port, timeout_ms, error, error_size);
    bool ok = node && visit(node, ctx, error, error_size);

    connection_close(node);
    return ok;
}

bool route_each_master(const struct redis_url *url, uint64_t timeout_ms,
                       bool (*visit)(struct connection *, void *ctx, char *error, size_t error_size),
                       void *ctx, char *error, size_t error_size)
{
    struct connection *first = route_open(url, timeout_ms, error, error_size);
    struct redisReply *slots = NULL;
    bool ok = first != NULL;

    if (ok && url->kind != REDIS_URL_CLUSTER) {
        ok = visit(first, ctx, error, error_size);
        connection_close(first);
        return ok;
    }
    if (ok)
        slots = connection_ask(first, 2, (const char *[]){"CLUSTER", "SLOTS"}, error, error_size);
    ok = slots && slots->type == REDIS_REPLY_ARRAY && slots->elements > 0;
    if (slots && slots->type == REDIS_REPLY_ERROR)
        connection_explain(first, slots->str, NULL, error, error_size);
    else if (slots && !ok)
        snprintf(error, error_size, "%s is in a cluster without slots", connection_name(first));
    for (size_t i = 0; ok && i < slots->elements; i++) {
        const struct redisReply *master = master_of(slots->element[i]);

        if (master == NULL || seen_before(slots, i))
            continue;
        ok = visit_master(url, master->element[0]->len > 0 ? master->element[0]->str : connection_host(first),
                          master->element[1]->integer, timeout_ms, visit, ctx, error, error_size);
    }
    freeReplyObject(slots);
    connection_close(first);
    return ok;
}
