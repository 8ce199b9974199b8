#include "gateway/redis/interest.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

size_t interest_bytes(const struct interest_set *set)
{
    return set->bytes + map_bytes(&set->map);
}

static struct interest *interest_of(struct map_entry *e)
{
    return (struct interest *)((char *)e - offsetof(struct interest, entry));
}

void interest_init(struct interest_set *set)
{
    *set = (struct interest_set){0};
    map_init(&set->map);
    TAILQ_INIT(&set->fresh);
    TAILQ_INIT(&set->sent);
    TAILQ_INIT(&set->denied);
    TAILQ_INIT(&set->lingering);
}

void interest_deinit(struct interest_set *set)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&set->map, &cursor));)
        free(interest_of(e));
    map_deinit(&set->map);
}

static void leave_state(struct interest_set *set, struct interest *i)
{
    if (i->state == INTEREST_FRESH)
        TAILQ_REMOVE(&set->fresh, i, in_state);
    else if (i->state == INTEREST_SENT)
        TAILQ_REMOVE(&set->sent, i, in_state);
    else if (i->state == INTEREST_DENIED)
        TAILQ_REMOVE(&set->denied, i, in_state);
}

static void enter_fresh(struct interest_set *set, struct interest *i)
{
    i->state = INTEREST_FRESH;
    TAILQ_INSERT_TAIL(&set->fresh, i, in_state);
}

static void stop_linger(struct interest_set *set, struct interest *i)
{
    if (i->lingering) {
        TAILQ_REMOVE(&set->lingering, i, in_linger);
        set->lingering_count--;
    }
    i->lingering = false;
}

struct interest *interest_find(const struct interest_set *set, uint64_t hash, const char *name, size_t len)
{
    struct map_entry *e = map_find(&set->map, hash, name, len);
    return e ? interest_of(e) : NULL;
}

struct interest *interest_want(struct interest_set *set, unsigned worker, uint64_t hash, const char *name,
                               size_t len)
{
    struct interest *i = interest_find(set, hash, name, len);
    if (!i) {
        i = calloc(1, sizeof *i + len);
        if (!i)
            return NULL;
        memcpy(i->name, name, len);
        i->entry = (struct map_entry){.hash = hash, .key = i->name, .len = (uint32_t)len};
        if (!map_insert(&set->map, &i->entry)) {
            free(i);
            return NULL;
        }
        set->bytes += memory_block(sizeof *i + len);
        enter_fresh(set, i);
    }
    stop_linger(set, i);
    i->workers |= UINT64_C(1) << worker;
    i->gap_told &= ~(UINT64_C(1) << worker);
    return i;
}

static void interest_remove(struct interest_set *set, struct interest *i)
{
    leave_state(set, i);
    stop_linger(set, i);
    map_remove(&set->map, &i->entry);
    set->bytes -= memory_block(sizeof *i + i->entry.len);
}

void interest_unwant(struct interest_set *set, unsigned worker, uint64_t hash, const char *name, size_t len,
                     uint64_t until_ms)
{
    struct interest *i = interest_find(set, hash, name, len);
    if (!i)
        return;
    i->workers &= ~(UINT64_C(1) << worker);
    if (i->workers != 0 || i->lingering)
        return;
    if (i->state == INTEREST_FRESH || i->state == INTEREST_DENIED) {
        interest_remove(set, i);
        free(i);
        return;
    }
    i->lingering = true;
    i->linger_until_ms = until_ms;
    TAILQ_INSERT_TAIL(&set->lingering, i, in_linger);
    set->lingering_count++;
}

size_t interest_take_batch(struct interest_set *set, struct interest **out, size_t max)
{
    size_t n = 0;
    // What was in a batch that was refused goes alone.
    while (n < max && !TAILQ_EMPTY(&set->fresh)) {
        struct interest *i = TAILQ_FIRST(&set->fresh);
        bool alone = i->batch != 0;
        if (alone && n > 0)
            break;
        TAILQ_REMOVE(&set->fresh, i, in_state);
        i->state = INTEREST_SENT;
        i->batch = set->next_batch + 1;
        TAILQ_INSERT_TAIL(&set->sent, i, in_state);
        out[n++] = i;
        if (alone)
            break;
    }
    if (n > 0)
        set->next_batch++;
    return n;
}

struct interest *interest_confirm(struct interest_set *set, uint64_t hash, const char *name, size_t len)
{
    struct interest *i = interest_find(set, hash, name, len);
    if (!i || i->state != INTEREST_SENT)
        return NULL;
    TAILQ_REMOVE(&set->sent, i, in_state);
    i->state = INTEREST_ACTIVE;
    i->batch = 0;
    i->told_denied = false;
    return i;
}

struct interest *interest_refuse_oldest(struct interest_set *set)
{
    struct interest *first = TAILQ_FIRST(&set->sent);
    if (!first)
        return NULL;
    struct interest *second = TAILQ_NEXT(first, in_state);
    if (!second || second->batch != first->batch) {
        TAILQ_REMOVE(&set->sent, first, in_state);
        first->state = INTEREST_DENIED;
        TAILQ_INSERT_TAIL(&set->denied, first, in_state);
        first->batch = 0;
        return first;
    }
    for (uint32_t batch = first->batch; first && first->batch == batch; first = TAILQ_FIRST(&set->sent)) {
        TAILQ_REMOVE(&set->sent, first, in_state);
        enter_fresh(set, first);
    }
    return NULL;
}

void interest_retry_denied(struct interest_set *set)
{
    struct interest *i;
    while ((i = TAILQ_FIRST(&set->denied))) {
        leave_state(set, i);
        i->batch = 1; // goes alone
        enter_fresh(set, i);
    }
}

void interest_reset(struct interest_set *set, struct interest *last)
{
    while (!TAILQ_EMPTY(&set->lingering)) {
        struct interest *i = TAILQ_FIRST(&set->lingering);
        interest_remove(set, i);
        free(i);
    }
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&set->map, &cursor));) {
        struct interest *i = interest_of(e);
        i->was_active |= i->state == INTEREST_ACTIVE;
        i->batch = 0;
        leave_state(set, i);
        enter_fresh(set, i);
    }
    if (last) {
        TAILQ_REMOVE(&set->fresh, last, in_state);
        TAILQ_INSERT_TAIL(&set->fresh, last, in_state);
    }
}

size_t interest_take_expired(struct interest_set *set, uint64_t now_ms, struct interest **out, size_t max)
{
    size_t n = 0;
    struct interest *next;
    for (struct interest *i = TAILQ_FIRST(&set->lingering); i && n < max && i->linger_until_ms <= now_ms;
         i = next) {
        next = TAILQ_NEXT(i, in_linger);
        // Redis still owes the answer to its SUBSCRIBE, which must find it here.
        if (i->state == INTEREST_SENT)
            continue;
        interest_remove(set, i);
        out[n++] = i;
    }
    return n;
}
