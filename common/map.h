// A hash map from channel names to the caller's structs, for names that clients choose: XXH3 with a seed of
// the process, so that none can make them collide, open addressing, linear probing. The struct embeds a
// map_entry; the map holds pointers only and owns nothing. Not thread-safe: one map a thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t hash;
    const char *key; // borrowed: lives in the same struct as the entry. Not terminated.
    uint32_t len;
};

struct map {
    struct map_entry **slots; // capacity is a power of two, at most 3/4 full
    size_t capacity, count;
};

// The hash of a key: the same on all threads of a process, different in every process. Any thread, after
// map_seed.
uint64_t map_hash(const char *key, size_t len);
// Draws the seed from the kernel. Once, before other threads start. False where the kernel has no random
// bytes.
bool map_seed(void);

void map_init(struct map *m);
void map_deinit(struct map *m);
struct map_entry *map_find(const struct map *m, uint64_t hash, const char *key, size_t len);
// The key must not be in the map yet. `e` has hash, key and len set. False when out of memory: nothing has
// changed then.
bool map_insert(struct map *m, struct map_entry *e);
void map_remove(struct map *m, struct map_entry *e);
// Walks all entries: start with *cursor = 0; NULL at the end. The map must not change meanwhile.
struct map_entry *map_next(const struct map *m, size_t *cursor);
// Bytes that the table itself takes.
size_t map_bytes(const struct map *m);
