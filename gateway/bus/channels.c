#include "gateway/bus/channels.h"

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

struct interest *interest_next(const struct interest_set *set, size_t *cursor)
{
    struct map_entry *e = map_next(&set->map, cursor);
    return e ? interest_of(e) : NULL;
}

void interest_init(struct interest_set *set)
{
    *set = (struct interest_set){0};
    map_init(&set->map);
    TAILQ_INIT(&set->fresh);
    TAILQ_INIT(&set->sent);
    TAILQ_INIT(&set->denied);
    TAILQ_INIT(&set->moved);
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
    else if (i->state == INTEREST_MOVED)
        TAILQ_REMOVE(&set->moved, i, in_state);
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

void interest_forget(struct interest_set *set, struct interest *i)
{
    interest_remove(set, i);
    free(i);
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
    if (i->state != INTEREST_SENT && i->state != INTEREST_ACTIVE) {
        interest_forget(set, i);
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
        if (n > 0 && (alone || i->slot != out[0]->slot))
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

static void enter_moved(struct interest_set *set, struct interest *i)
{
    leave_state(set, i);
    i->batch = 0;
    i->state = INTEREST_MOVED;
    TAILQ_INSERT_TAIL(&set->moved, i, in_state);
}

void interest_batch_moved(struct interest_set *set, int slot)
{
    struct interest *i = TAILQ_FIRST(&set->sent), *next;
    while (i && slot >= 0 && i->slot != slot)
        i = TAILQ_NEXT(i, in_state);
    for (uint32_t batch = i ? i->batch : 0; i && i->batch == batch; i = next) {
        next = TAILQ_NEXT(i, in_state);
        if (i->lingering)
            interest_forget(set, i);
        else
            enter_moved(set, i);
    }
}

struct interest *interest_moved(struct interest_set *set, uint64_t hash, const char *name, size_t len)
{
    struct interest *i = interest_find(set, hash, name, len);
    if (!i || i->state != INTEREST_ACTIVE)
        return NULL;
    if (i->lingering) {
        interest_forget(set, i);
        return NULL;
    }
    i->was_active = true;
    enter_moved(set, i);
    return i;
}

void interest_retry_moved(struct interest_set *set)
{
    struct interest *i;
    while ((i = TAILQ_FIRST(&set->moved))) {
        leave_state(set, i);
        enter_fresh(set, i);
    }
}

static int by_slot(const void *a, const void *b)
{
    const struct interest *const *x = a, *const *y = b;
    return ((*x)->slot > (*y)->slot) - ((*x)->slot < (*y)->slot);
}

struct interest **interest_list_all(const struct interest_set *set, size_t *count)
{
    struct interest **all = malloc((set->map.count + 1) * sizeof(struct interest *));
    size_t cursor = 0, n = 0;
    for (struct map_entry *e; all && (e = map_next(&set->map, &cursor));)
        all[n++] = interest_of(e);
    *count = n;
    return all;
}

void interest_sort_fresh(struct interest_set *set, struct interest *last)
{
    size_t count;
    struct interest **all = interest_list_all(set, &count);
    if (all) {
        qsort(all, count, sizeof(struct interest *), by_slot);
        TAILQ_INIT(&set->fresh);
        for (size_t i = 0; i < count; i++)
            if (all[i]->state == INTEREST_FRESH)
                enter_fresh(set, all[i]);
        free(all);
    }
    if (last && last->state == INTEREST_FRESH) {
        TAILQ_REMOVE(&set->fresh, last, in_state);
        TAILQ_INSERT_TAIL(&set->fresh, last, in_state);
    }
}

bool interest_move(struct interest_set *from, struct interest_set *to, struct interest *i)
{
    struct map_entry *old = &i->entry;
    if (!map_insert(&to->map, old))
        return false;
    i->was_active |= i->state == INTEREST_ACTIVE;
    interest_remove(from, i);
    to->bytes += memory_block(sizeof *i + i->entry.len);
    i->batch = 0;
    enter_fresh(to, i);
    return true;
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
        interest_forget(set, i);
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
