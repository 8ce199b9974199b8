#include "common/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAP_MIN_CAPACITY 16u

// One seed a process: frames carry the hash from thread to thread.
static uint64_t seed;

bool map_seed(void)
{
    return getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed;
}

uint64_t map_hash(const char *key, size_t len)
{
    return XXH3_64bits_withSeed(key, len, seed);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_deinit(struct map *m)
{
    free(m->slots);
    map_init(m);
}

struct map_entry *map_find(const struct map *m, uint64_t hash, const char *key, size_t len)
{
    if (m->capacity == 0)
        return NULL;
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask; m->slots[i]; i = (i + 1) & mask) {
        struct map_entry *e = m->slots[i];
        if (e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0)
            return e;
    }
    return NULL;
}

static void map_place(struct map_entry **slots, size_t mask, struct map_entry *e)
{
    size_t i = e->hash & mask;
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = e;
}

static bool map_resize(struct map *m, size_t capacity)
{
    struct map_entry **slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i])
            map_place(slots, capacity - 1, m->slots[i]);
    free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    return true;
}

bool map_insert(struct map *m, struct map_entry *e)
{
    if ((m->count + 1) * 4 > m->capacity * 3 &&
        !map_resize(m, m->capacity ? m->capacity * 2 : MAP_MIN_CAPACITY))
        return false;
    map_place(m->slots, m->capacity - 1, e);
    m->count++;
    return true;
}

void map_remove(struct map *m, struct map_entry *e)
{
    size_t mask = m->capacity - 1;
    size_t hole = e->hash & mask;
    while (m->slots[hole] != e)
        hole = (hole + 1) & mask;
    // Closes the hole by moving back the entries that probed past it, so that no tombstones are needed.
    for (size_t i = (hole + 1) & mask; m->slots[i]; i = (i + 1) & mask) {
        size_t home = m->slots[i]->hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = NULL;
    m->count--;
    // Gives memory back after many entries have gone. A shrink that fails costs memory, nothing else.
    if (m->capacity > MAP_MIN_CAPACITY && m->count * 8 < m->capacity)
        (void)map_resize(m, m->capacity / 2);
}

struct map_entry *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->capacity) {
        struct map_entry *e = m->slots[(*cursor)++];
        if (e)
            return e;
    }
    return NULL;
}

size_t map_bytes(const struct map *m)
{
    return m->capacity * sizeof *m->slots;
}
