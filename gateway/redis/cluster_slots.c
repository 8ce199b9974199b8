#include "gateway/redis/cluster_slots.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// CRC16/XMODEM: polynomial 0x1021, most significant bit first, from zero. Called once for each channel that
// is wanted, so bits will do.
static uint16_t crc16(const char *text, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)text[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000u ? (crc << 1) ^ 0x1021u : crc << 1;
    }
    return (uint16_t)crc;
}

uint16_t cluster_slot(const char *name, size_t len)
{
    const char *open = memchr(name, '{', len);
    if (open) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', len - (size_t)(tag - name));
        if (close && close > tag) // an empty tag is none
            return crc16(tag, (size_t)(close - tag)) % CLUSTER_SLOTS;
    }
    return crc16(name, len) % CLUSTER_SLOTS;
}

void cluster_slot_tag(uint16_t slot, char tag[CLUSTER_TAG_MAX])
{
    assert(slot < CLUSTER_SLOTS);
    // Numbers of up to six digits meet every slot; a test says so.
    for (uint32_t n = 0;; n++) {
        int len = snprintf(tag, CLUSTER_TAG_MAX, "%" PRIu32, n);
        if (crc16(tag, (size_t)len) % CLUSTER_SLOTS == slot)
            return;
    }
}

void cluster_slots_init(struct cluster_slots *s)
{
    s->nodes = NULL;
    s->node_count = 0;
    for (size_t i = 0; i < CLUSTER_SLOTS; i++)
        s->owner[i] = CLUSTER_NOBODY;
}

void cluster_slots_deinit(struct cluster_slots *s)
{
    free(s->nodes);
    cluster_slots_init(s);
}

// The index of a node, which is added where it is new. False where there is no room.
static bool add_node(struct cluster_slots *s, const struct redis_address *node, uint16_t *index)
{
    size_t i = 0;
    while (i < s->node_count && !redis_address_equal(&s->nodes[i], node))
        i++;
    *index = (uint16_t)i;
    if (i < s->node_count)
        return true;
    if (i == CLUSTER_NODES_MAX)
        return false;
    struct redis_address *nodes = realloc(s->nodes, (i + 1) * sizeof *nodes);
    if (!nodes)
        return false;
    s->nodes = nodes;
    nodes[s->node_count++] = *node;
    return true;
}

static bool is_integer(const redisReply *r, long long max)
{
    return r->type == REDIS_REPLY_INTEGER && r->integer >= 0 && r->integer <= max;
}

// [host, port, id, ...]. *known is false for a node whose address the cluster does not know; it is left out.
static bool read_node(struct cluster_slots *s, const redisReply *r, const char *asked, uint16_t *index,
                      bool *known)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || !is_integer(r->element[1], UINT16_MAX))
        return false;
    const redisReply *host = r->element[0];
    if (host->type != REDIS_REPLY_STRING && host->type != REDIS_REPLY_NIL)
        return false;
    struct redis_address node = {.port = (unsigned short)r->element[1]->integer};
    // Without a host it is the one that was asked; "?" is the host of a node whose name this node does not
    // know yet.
    bool own = host->type == REDIS_REPLY_NIL || host->len == 0;
    if (!own && strlen(host->str) >= sizeof node.host)
        return false;
    snprintf(node.host, sizeof node.host, "%s", own ? asked : host->str);
    *known = node.port > 0 && strcmp(node.host, "?") != 0;
    return !*known || add_node(s, &node, index);
}

// [first slot, last slot, owner, replica, ...]
static bool read_range(struct cluster_slots *s, const redisReply *r, const char *asked)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || !is_integer(r->element[0], CLUSTER_SLOTS - 1) ||
        !is_integer(r->element[1], CLUSTER_SLOTS - 1))
        return false;
    for (size_t i = 2; i < r->elements; i++) {
        uint16_t node;
        bool known;
        if (!read_node(s, r->element[i], asked, &node, &known))
            return false;
        if (i > 2 || !known)
            continue;
        for (long long slot = r->element[0]->integer; slot <= r->element[1]->integer; slot++)
            s->owner[slot] = node;
    }
    return true;
}

bool cluster_slots_read(struct cluster_slots *s, const redisReply *reply, const char *host)
{
    cluster_slots_init(s);
    bool ok = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; ok && i < reply->elements; i++)
        ok = read_range(s, reply->element[i], host);
    if (!ok)
        cluster_slots_deinit(s);
    return ok;
}

const struct redis_address *cluster_slots_owner(const struct cluster_slots *s, size_t slot)
{
    assert(slot < CLUSTER_SLOTS && (s->owner[slot] == CLUSTER_NOBODY || s->owner[slot] < s->node_count));
    return s->owner[slot] == CLUSTER_NOBODY ? NULL : &s->nodes[s->owner[slot]];
}

size_t cluster_slots_diff(const struct cluster_slots *before, const struct cluster_slots *after)
{
    size_t count = 0;
    for (size_t i = 0; i < CLUSTER_SLOTS; i++) {
        const struct redis_address *a = cluster_slots_owner(before, i), *b = cluster_slots_owner(after, i);
        count += a && b ? !redis_address_equal(a, b) : a != b;
    }
    return count;
}

// "SLOT HOST:PORT"
static bool read_elsewhere(const char *text, const char *host, struct cluster_moved *out)
{
    char *end, *rest;
    unsigned long slot = strtoul(text, &end, 10);
    const char *colon = strrchr(text, ':'); // the last: an IPv6 address has more of them
    if (slot >= CLUSTER_SLOTS || end == text || *end != ' ' || !colon || colon <= end)
        return false;
    size_t len = (size_t)(colon - end) - 1;
    unsigned long port = strtoul(colon + 1, &rest, 10);
    if (len >= sizeof out->to.host || port == 0 || port > UINT16_MAX || *rest != '\0')
        return false;
    *out = (struct cluster_moved){.slot = (uint16_t)slot, .to.port = (unsigned short)port};
    snprintf(out->to.host, sizeof out->to.host, "%.*s", len ? (int)len : (int)sizeof out->to.host - 1,
             len ? end + 1 : host);
    return true;
}

bool cluster_moved_parse(const char *text, const char *host, struct cluster_moved *out)
{
    return strncmp(text, "MOVED ", 6) == 0 && read_elsewhere(text + 6, host, out);
}

bool cluster_ask_parse(const char *text, const char *host, struct cluster_moved *out)
{
    return strncmp(text, "ASK ", 4) == 0 && read_elsewhere(text + 4, host, out);
}

bool cluster_error_passes(const char *text)
{
    static const char *const words[] = {"MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}
