// Gives ids to things and finds them again: the answer of another thread comes back with an id, never with a
// pointer. Ids count up from 1 and none is given twice. Pure, not thread-safe.
//
// A thing stands in the slot that the low bits of its id name. An id whose slot is taken is passed over and
// never given out, so there are no collisions: finding reads one slot, and a slot costs one pointer. At least 7 of
// 16 slots are taken unless things were removed since the table grew: it never shrinks.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_table {
    void **slots; // borrowed things, or NULL
    size_t capacity, count;
    uint64_t last; // the newest id
    uint64_t (*id_of)(const void *thing);
};

void id_table_init(struct id_table *t, uint64_t (*id_of)(const void *thing));
void id_table_deinit(struct id_table *t);
// Takes `thing` in under a new id, which is returned: id_of must say the same from now on. 0 when out of
// memory.
uint64_t id_table_add(struct id_table *t, void *thing);
// `thing` must stand in it.
void id_table_remove(struct id_table *t, const void *thing);
// NULL where the thing of that id is gone, or no such id was given.
void *id_table_find(const struct id_table *t, uint64_t id);
// Walks all things: start with *cursor = 0; NULL at the end. What is removed meanwhile, or added, may or may
// not be met.
void *id_table_next(const struct id_table *t, size_t *cursor);
// A walk over the slots in a random order: all zero at first. Each lap has an order of its own.
struct id_shuffle {
    uint64_t key;    // of this lap's order
    size_t capacity; // of the table, for which the order was made
    size_t at;       // slots of this lap that were looked at
};
// Looks at the next slot of `s`; NULL where it is empty. A lap meets each thing once that is there throughout, unless
// the table grows: a new lap begins then. `random`: state of common/jitter.h.
void *id_table_draw(const struct id_table *t, struct id_shuffle *s, uint64_t *random);
// Bytes that the table takes.
size_t id_table_bytes(const struct id_table *t);
