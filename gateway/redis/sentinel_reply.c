#include "gateway/redis/sentinel_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static bool set_address(struct redis_address *out, const char *host, const char *port)
{
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    out->host[0] = '\0';
    if (*port < '0' || *port > '9' || *end != '\0' || number == 0 || number > UINT16_MAX ||
        strlen(host) >= sizeof out->host)
        return false;
    snprintf(out->host, sizeof out->host, "%s", host);
    out->port = (unsigned short)number;
    return host[0] != '\0';
}

enum sentinel_verdict sentinel_read_address(const redisReply *reply, struct sentinel_master *out)
{
    *out = (struct sentinel_master){0};
    if (reply->type == REDIS_REPLY_ERROR)
        return SENTINEL_REFUSES;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return SENTINEL_UNKNOWN_NAME; // nil
    const redisReply *host = reply->element[0], *port = reply->element[1];
    return is_text(host) && is_text(port) && set_address(&out->address, host->str, port->str)
               ? SENTINEL_FOUND
               : SENTINEL_NO_ADDRESS;
}

// The value of a field in a flat list of fields and values; "" where there is none.
static const char *field(const redisReply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *key = reply->element[i], *value = reply->element[i + 1];
        if (is_text(key) && is_text(value) && strcmp(key->str, name) == 0)
            return value->str;
    }
    return "";
}

enum sentinel_verdict sentinel_read_details(const redisReply *reply, struct sentinel_master *out)
{
    struct redis_address described = {0};
    out->epoch = 0;
    if (reply->type != REDIS_REPLY_ARRAY)
        return SENTINEL_FOUND;
    out->epoch = strtoull(field(reply, "config-epoch"), NULL, 10);
    // In the middle of a failover this may still be about the one before.
    bool same = set_address(&described, field(reply, "ip"), field(reply, "port")) &&
                redis_address_equal(&described, &out->address);
    return same && strcmp(field(reply, "role-reported"), "slave") == 0 ? SENTINEL_IS_REPLICA : SENTINEL_FOUND;
}

bool sentinel_read_switch(const redisReply *reply, const char *name, struct sentinel_master *out)
{
    char text[1024], host[REDIS_HOST_SIZE], port[8];
    *out = (struct sentinel_master){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !is_text(reply->element[2]) ||
        reply->element[2]->len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%s", reply->element[2]->str);
    size_t len = strlen(name);
    if (strncmp(text, name, len) != 0 || text[len] != ' ')
        return false;
    return sscanf(text + len, " %*s %*s %253s %7s", host, port) == 2 &&
           set_address(&out->address, host, port);
}
