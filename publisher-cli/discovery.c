#include "publisher-cli/discovery.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum redirection discovery_redirection(const struct redisReply *reply)
{
    static const struct {
        const char *prefix;
        enum redirection redirection;
    } table[] = {
        {"MOVED ", REDIRECTION_MOVED},
        {"ASK ", REDIRECTION_ASK},
        {"TRYAGAIN", REDIRECTION_LATER},
        {"CLUSTERDOWN", REDIRECTION_LATER},
    };
    for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof table / sizeof *table; i++) {
        if (strncmp(reply->str, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].redirection;
    }
    return REDIRECTION_NONE;
}

// One server, with the credentials of the URL.
static struct connection *open_node(const struct redis_target *target, const char *host, unsigned short port,
                                    struct failure *failure)
{
    struct redis_address endpoint = {.port = port};
    struct redis_url node = *target->url;
    snprintf(endpoint.host, sizeof endpoint.host, "%s", host);
    node.kind = node.tls ? REDIS_URL_TLS : REDIS_URL_TCP;
    node.endpoints = &endpoint;
    node.endpoint_count = 1;
    return connection_open(&(struct redis_target){&node, target->timeout_ms, target->is_sentinel}, failure);
}

bool discovery_read_address(const struct redisReply *reply, const char *same_host, char host[REDIS_HOST_SIZE],
                            unsigned short *port)
{
    const char *address = strrchr(reply->str, ' '), *colon = strrchr(reply->str, ':');
    size_t len = address && colon && colon > address ? (size_t)(colon - address - 1) : REDIS_HOST_SIZE;
    if (len >= REDIS_HOST_SIZE || colon[1] < '0' || colon[1] > '9')
        return false;
    char *end;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || number == 0 || number > 65535)
        return false;
    if (len > 0)
        snprintf(host, REDIS_HOST_SIZE, "%.*s", (int)len, address + 1);
    else
        snprintf(host, REDIS_HOST_SIZE, "%s", same_host);
    *port = (unsigned short)number;
    return true;
}

struct connection *discovery_follow(const struct redis_target *target, const struct connection *from,
                                    const struct redisReply *reply, struct failure *failure)
{
    char host[REDIS_HOST_SIZE];
    unsigned short port;
    if (discovery_read_address(reply, connection_host(from), host, &port))
        return open_node(target, host, port, failure);
    (void)failure_set(failure, "%s sends to an address that makes no sense: %.100s", connection_name(from),
                      reply->str);
    return NULL;
}

static bool is_text(const struct redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING && (text == NULL || strcmp(reply->str, text) == 0);
}

// A sentinel's answer may be old: the server itself is asked whether it is a master.
static bool is_master(struct connection *connection, struct failure *failure)
{
    struct redisReply *reply = connection_ask(connection, (const char *[]){"ROLE", NULL}, failure);
    if (reply == NULL)
        return false;
    bool ok = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && is_text(reply->element[0], "master");
    if (reply->type == REDIS_REPLY_ERROR)
        (void)connection_refused(connection, reply->str,
                                 strncmp(reply->str, "NOPERM", 6) == 0
                                     ? "; behind sentinels the ACL of this user must allow +role"
                                     : NULL,
                                 failure);
    else if (!ok)
        (void)failure_set(failure, "%s, the master that the sentinels name, is none (yet)",
                          connection_name(connection));
    freeReplyObject(reply);
    return ok;
}

// Connects to the master in `reply`, the sentinel's answer.
static struct connection *open_master(const struct redis_target *target, const struct connection *sentinel,
                                      const struct redisReply *reply, struct failure *failure)
{
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR unknown command", 19) == 0) {
        (void)failure_set(
            failure, "%s is no sentinel; give the sentinels' own ports (26379 as a rule), or use redis://",
            connection_name(sentinel));
        return NULL;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)connection_refused(sentinel, reply->str, NULL, failure);
        return NULL;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !is_text(reply->element[0], NULL) ||
        !is_text(reply->element[1], NULL)) {
        (void)failure_set(failure, "%s knows no master named \"%s\"", connection_name(sentinel),
                          target->url->master_name);
        return NULL;
    }
    unsigned short port = (unsigned short)strtoul(reply->element[1]->str, NULL, 10);
    struct connection *master = open_node(target, reply->element[0]->str, port, failure);
    if (master && !is_master(master, failure)) {
        connection_close(master);
        return NULL;
    }
    return master;
}

// User and password of the URL are for Redis: a sentinel has a password of its own, or none.
static struct connection *ask_sentinel(const struct redis_target *target,
                                       const struct redis_address *endpoint, struct failure *failure)
{
    const struct redis_url url = {.tls = target->url->tls,
                                  .tls_files = target->url->tls_files,
                                  .password = target->url->sentinel_password};
    const struct redis_target itself = {&url, target->timeout_ms, .is_sentinel = true};
    struct connection *sentinel = open_node(&itself, endpoint->host, endpoint->port, failure);
    if (sentinel == NULL)
        return NULL;
    struct redisReply *reply = connection_ask(
        sentinel, (const char *[]){"SENTINEL", "get-master-addr-by-name", target->url->master_name, NULL},
        failure);
    struct connection *master = reply ? open_master(target, sentinel, reply, failure) : NULL;
    freeReplyObject(reply);
    connection_close(sentinel);
    return master;
}

// A server outside of a cluster accepts SPUBLISH, too, but no gateway would receive the message. Where an ACL
// forbids the check, the server counts as one of a cluster.
static bool is_in_cluster(struct connection *connection, const struct redis_address *endpoint,
                          struct failure *failure)
{
    struct redisReply *reply =
        connection_ask(connection, (const char *[]){"CLUSTER", "KEYSLOT", "any", NULL}, failure);
    if (reply == NULL)
        return false;
    bool ok = reply->type != REDIS_REPLY_ERROR || strstr(reply->str, "cluster support disabled") == NULL;
    if (!ok)
        (void)failure_set(failure, "%s is in no cluster; use redis://%s:%u (with TLS rediss://)",
                          connection_name(connection), endpoint->host, (unsigned)endpoint->port);
    freeReplyObject(reply);
    return ok;
}

static struct connection *open_cluster(const struct redis_target *target,
                                       const struct redis_address *endpoint, struct failure *failure)
{
    struct connection *node = open_node(target, endpoint->host, endpoint->port, failure);
    if (node && !is_in_cluster(node, endpoint, failure)) {
        connection_close(node);
        return NULL;
    }
    return node;
}

struct connection *discovery_open(const struct redis_target *target, struct failure *failure)
{
    const struct redis_url *url = target->url;
    if (url->kind != REDIS_URL_SENTINEL && url->kind != REDIS_URL_CLUSTER)
        return connection_open(target, failure);
    struct connection *connection = NULL;
    for (size_t i = 0; connection == NULL && i < url->endpoint_count; i++)
        connection = url->kind == REDIS_URL_SENTINEL ? ask_sentinel(target, &url->endpoints[i], failure)
                                                     : open_cluster(target, &url->endpoints[i], failure);
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

// "" is the host that was asked.
static const char *host_of(const struct redisReply *master)
{
    return master->element[0]->str ? master->element[0]->str : "";
}

// A master has many ranges of slots; it counts at its first.
static bool seen_before(const struct redisReply *slots, size_t at)
{
    const struct redisReply *master = master_of(slots->element[at]);
    for (size_t i = 0; i < at; i++) {
        const struct redisReply *other = master_of(slots->element[i]);
        if (other && other->element[1]->integer == master->element[1]->integer &&
            strcmp(host_of(other), host_of(master)) == 0)
            return true;
    }
    return false;
}

static struct connection *open_slots_master(const struct redis_target *target, const struct connection *asked,
                                            const struct redisReply *master, struct failure *failure)
{
    const char *host = *host_of(master) ? host_of(master) : connection_host(asked);
    return open_node(target, host, (unsigned short)master->element[1]->integer, failure);
}

static bool visit_masters(const struct redis_target *target, struct connection *first,
                          bool (*visit)(struct connection *, void *ctx, struct failure *failure), void *ctx,
                          struct failure *failure)
{
    struct redisReply *slots = connection_ask(first, (const char *[]){"CLUSTER", "SLOTS", NULL}, failure);
    if (slots == NULL)
        return false;
    bool ok = slots->type == REDIS_REPLY_ARRAY && slots->elements > 0;
    if (slots->type == REDIS_REPLY_ERROR)
        (void)connection_refused(first, slots->str, NULL, failure);
    else if (!ok)
        (void)failure_set(failure, "%s is in a cluster without slots", connection_name(first));
    for (size_t i = 0; ok && i < slots->elements; i++) {
        const struct redisReply *master = master_of(slots->element[i]);
        if (master == NULL || seen_before(slots, i))
            continue;
        struct connection *node = open_slots_master(target, first, master, failure);
        ok = node && visit(node, ctx, failure);
        connection_close(node);
    }
    freeReplyObject(slots);
    return ok;
}

bool discovery_each_master(const struct redis_target *target,
                           bool (*visit)(struct connection *, void *ctx, struct failure *failure), void *ctx,
                           struct failure *failure)
{
    struct connection *first = discovery_open(target, failure);
    if (first == NULL)
        return false;
    bool ok = target->url->kind == REDIS_URL_CLUSTER ? visit_masters(target, first, visit, ctx, failure)
                                                     : visit(first, ctx, failure);
    connection_close(first);
    return ok;
}
