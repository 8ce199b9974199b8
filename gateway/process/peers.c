#include "gateway/process/peers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INTERVALS 3u // without news, after which a row expires
#define FIRST_CAPACITY 8u

void peers_free(struct peers *p)
{
    free(p->items);
    *p = (struct peers){0};
}

void peers_begin(struct peers *p, uint64_t now_ms)
{
    p->count = 0;
    p->since_ms = now_ms;
}

static struct peer *find(const struct peers *p, uint64_t run)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].said.run == run)
            return &p->items[i];
    return NULL;
}

const struct peer *peers_find(const struct peers *p, uint64_t run)
{
    return find(p, run);
}

static bool make_room(struct peers *p)
{
    if (p->count < p->capacity)
        return true;
    size_t capacity = p->capacity ? 2 * p->capacity : FIRST_CAPACITY;
    struct peer *items = p->count < PEERS_MAX ? realloc(p->items, capacity * sizeof *items) : NULL;
    if (!items)
        return false;
    p->items = items;
    p->capacity = capacity;
    return true;
}

static void remove_at(struct peers *p, size_t i)
{
    assert(i < p->count);
    p->items[i] = p->items[--p->count];
}

// Whether another gateway with the id of `a` has spoken since `a` came, or the other way round. One that ends while
// the next with its id begins is heard before that one only.
static bool shares_id(struct peers *p, struct peer *a, uint64_t now_ms)
{
    bool is_shared = false;
    for (size_t i = 0; i < p->count; i++) {
        struct peer *b = &p->items[i];
        if (b == a || strcmp(a->said.id, b->said.id) != 0 || b->heard_ms <= a->since_ms ||
            now_ms <= b->since_ms)
            continue;
        is_shared |= !a->told_same_id || !b->told_same_id;
        a->told_same_id = b->told_same_id = true;
    }
    return is_shared;
}

enum peers_news peers_hear(struct peers *p, const char *text, size_t len, uint64_t now_ms,
                           struct announcement *out)
{
    if (!announcement_parse(text, len, out))
        return PEERS_JUNK;
    struct peer *known = find(p, out->run);
    if (out->leaving) {
        if (known)
            remove_at(p, (size_t)(known - p->items));
        return known ? PEERS_GONE : PEERS_KNOWN;
    }
    if (!known && !make_room(p))
        return PEERS_FULL;
    if (!known) {
        p->items[p->count++] = (struct peer){.said = *out, .heard_ms = now_ms, .since_ms = now_ms};
        return PEERS_NEW;
    }
    known->said = *out;
    known->heard_ms = now_ms;
    return shares_id(p, known, now_ms) ? PEERS_SAME_ID : PEERS_KNOWN;
}

void peers_expire(struct peers *p, uint64_t now_ms)
{
    for (size_t i = p->count; i-- > 0;)
        if (p->items[i].heard_ms + INTERVALS * p->items[i].said.every_ms + PEERS_GRACE_MS < now_ms)
            remove_at(p, i);
}

// A gateway that is full is not ready, and yet has streams to give away.
bool peers_takes_part(const struct announcement *a)
{
    return !a->draining && (a->ready || a->connections >= a->capacity);
}

// Spreads the bits of `n`, so that sums of such values differ where their parts do (the mixer of SplitMix64).
static uint64_t mix(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

struct peers_sum peers_sum_others(const struct peers *p, uint64_t run)
{
    struct peers_sum sum = {.oldest_news_ms = UINT64_MAX};
    for (size_t i = 0; i < p->count; i++) {
        const struct peer *peer = &p->items[i];
        if (peer->said.run == run)
            continue;
        sum.any_draining |= peer->said.draining;
        if (!peers_takes_part(&peer->said))
            continue;
        sum.gateways++;
        sum.connections += peer->said.connections;
        sum.capacity += peer->said.capacity;
        sum.members += mix(peer->said.run ^ mix(peer->said.capacity));
        if (sum.lowest_capacity == 0 ||
            peer->said.connections * sum.lowest_capacity < sum.lowest_connections * peer->said.capacity) {
            sum.lowest_connections = peer->said.connections;
            sum.lowest_capacity = peer->said.capacity;
        }
        if (peer->heard_ms < sum.oldest_news_ms)
            sum.oldest_news_ms = peer->heard_ms;
    }
    return sum;
}

uint32_t peers_every_ms(const struct peers *p)
{
    uint32_t each = (uint32_t)p->count * PEERS_EVERY_EACH_MS;
    return each > PEERS_EVERY_MS ? each : PEERS_EVERY_MS;
}
