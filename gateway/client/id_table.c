#include "gateway/client/id_table.h"

#include <assert.h>
#include <stdlib.h>

#include "common/jitter.h"
#include "common/memory.h"

#define INITIAL_CAPACITY 64u

void id_table_init(struct id_table *t, uint64_t (*id_of)(const void *thing))
{
    *t = (struct id_table){.id_of = id_of};
}

void id_table_deinit(struct id_table *t)
{
    assert(t->count == 0);
    free(t->slots);
    t->slots = NULL;
    t->capacity = 0;
}

// At most 7 of 8 slots are taken. An id is looked for by going on from the last one, so a lap around the
// table passes over each taken slot once and gives out an eighth of its ids at least: 8 steps for an id on
// average.
static bool has_room(const struct id_table *t)
{
    return t->count < t->capacity - t->capacity / 8;
}

// Ids that differ in their low bits also differ with one bit more: each thing finds its new slot free.
static bool grow(struct id_table *t)
{
    size_t capacity = t->capacity ? 2 * t->capacity : INITIAL_CAPACITY;
    void **slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i])
            slots[t->id_of(t->slots[i]) & (capacity - 1)] = t->slots[i];
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    return true;
}

uint64_t id_table_add(struct id_table *t, void *thing)
{
    if (!has_room(t) && !grow(t))
        return 0;
    do
        t->last++;
    while (t->slots[t->last & (t->capacity - 1)]);
    t->slots[t->last & (t->capacity - 1)] = thing;
    t->count++;
    return t->last;
}

void id_table_remove(struct id_table *t, const void *thing)
{
    size_t slot = t->id_of(thing) & (t->capacity - 1);
    assert(t->count > 0 && t->slots[slot] == thing);
    t->slots[slot] = NULL;
    t->count--;
}

void *id_table_find(const struct id_table *t, uint64_t id)
{
    void *thing = t->capacity ? t->slots[id & (t->capacity - 1)] : NULL;
    return thing && t->id_of(thing) == id ? thing : NULL;
}

void *id_table_next(const struct id_table *t, size_t *cursor)
{
    while (*cursor < t->capacity) {
        void *thing = t->slots[(*cursor)++];
        if (thing)
            return thing;
    }
    return NULL;
}

// One to one on the numbers below `capacity`, a power of two: adding, multiplying by an odd number, and xor with
// own higher bits can all be undone.
static size_t shuffled(const struct id_shuffle *s, size_t at)
{
    size_t mask = s->capacity - 1;
    unsigned half = (unsigned)(__builtin_ctzll(s->capacity) + 1) / 2;
    uint64_t key = s->key;
    for (int round = 0; round < 4; round++) {
        at = (at * (size_t)(key | 1) + (size_t)(key >> 32)) & mask;
        at ^= at >> half;
        key = key * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
    }
    return at;
}

void *id_table_draw(const struct id_table *t, struct id_shuffle *s, uint64_t *random)
{
    if (t->capacity == 0)
        return NULL;
    if (s->capacity != t->capacity || s->at == s->capacity)
        *s = (struct id_shuffle){.key = jitter_next(random), .capacity = t->capacity};
    return t->slots[shuffled(s, s->at++)];
}

size_t id_table_bytes(const struct id_table *t)
{
    return t->capacity ? memory_block(t->capacity * sizeof *t->slots) : 0;
}
