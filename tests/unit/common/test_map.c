#include "common/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "tests/unit/lib/unit_main.h"

// Reads nothing that the map keeps: what must be in it is known by `in` alone.
struct item {
    struct map_entry entry;
    char name[24];
    bool in;
    unsigned seen;
};

static struct map map;
static uint64_t random_state = 0x5eed;

static uint64_t random_below(uint64_t n)
{
    return jitter_next(&random_state) % n;
}

static void setup(void)
{
    ck_assert(map_seed());
    map_init(&map);
}

static void teardown(void)
{
    map_deinit(&map);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void item_init(struct item *item, uint64_t hash, const char *name)
{
    *item = (struct item){.in = false};
    snprintf(item->name, sizeof item->name, "%s", name);
    item->entry = (struct map_entry){.hash = hash, .key = item->name, .len = (uint32_t)strlen(name)};
}

static struct map_entry *find(const struct item *item)
{
    return map_find(&map, item->entry.hash, item->name, strlen(item->name));
}

// Few assertions in what is done a million times: each of Check's writes to a file.
static void check_holds_exactly(struct item *items, size_t count)
{
    size_t expected = 0, cursor = 0, walked = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].seen = 0;
        expected += items[i].in;
        if (find(&items[i]) != (items[i].in ? &items[i].entry : NULL))
            ck_abort_msg("%s, which %s in the map, is found otherwise", items[i].name,
                         items[i].in ? "is" : "is not");
    }
    for (struct map_entry *e; (e = map_next(&map, &cursor)); walked++)
        ((struct item *)e)->seen++;
    for (size_t i = 0; i < count; i++)
        if (items[i].seen != items[i].in)
            ck_abort_msg("%s was met %u times", items[i].name, items[i].seen);
    ck_assert_uint_eq(walked, expected);
    ck_assert_uint_eq(map.count, expected);
}

static void toggle(struct item *item)
{
    if (item->in)
        map_remove(&map, &item->entry);
    else if (!map_insert(&map, &item->entry))
        ck_abort_msg("out of memory");
    item->in = !item->in;
}

TEST(an_empty_map_finds_and_walks_nothing)
{
    size_t cursor = 0;
    ck_assert_ptr_null(map_find(&map, map_hash("a", 1), "a", 1));
    ck_assert_ptr_null(map_next(&map, &cursor));
    ck_assert_uint_eq(map_bytes(&map), 0);
}

// How the hashes of the model's items are made: spread, all the same, two only, neighbours that run into each
// other, and all at the end of the table, so that probing goes round it.
static uint64_t hash_spread(size_t i)
{
    char name[24];
    return map_hash(name, (size_t)snprintf(name, sizeof name, "item %zu", i));
}

static uint64_t hash_same(size_t i)
{
    return 7 + 0 * i;
}

static uint64_t hash_two(size_t i)
{
    return i % 2;
}

static uint64_t hash_neighbours(size_t i)
{
    return i / 3;
}

static uint64_t hash_at_the_end(size_t i)
{
    return UINT64_MAX - i % 4;
}

TEST_LOOP(behaves_as_an_array_of_items_does_whatever_collides, 0, 5)
{
    static uint64_t (*const hashes[])(size_t) = {hash_spread, hash_same, hash_two, hash_neighbours,
                                                 hash_at_the_end};
    enum { ITEMS = 200, STEPS = 3000 };
    static struct item items[ITEMS];
    for (size_t i = 0; i < ITEMS; i++) {
        char name[24];
        snprintf(name, sizeof name, "item %zu", i);
        item_init(&items[i], hashes[_i](i), name);
    }
    for (size_t step = 0; step < STEPS; step++) {
        // Few, then many, then few: the table grows and shrinks on the way.
        size_t range = step < STEPS / 3 ? 20 : step < 2 * STEPS / 3 ? ITEMS : 8;
        toggle(&items[random_below(range)]);
        if (step % 16 == 0)
            check_holds_exactly(items, ITEMS);
    }
    check_holds_exactly(items, ITEMS);
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].in)
            toggle(&items[i]);
    check_holds_exactly(items, ITEMS);
}

TEST(keys_of_one_hash_are_told_apart_by_bytes_and_length)
{
    static const struct {
        const char *key;
        uint32_t len;
    } keys[] = {{"a", 1}, {"ab", 2}, {"a\0b", 3}, {"a\0c", 3}, {"", 0}, {"A", 1}};
    enum { COUNT = sizeof keys / sizeof *keys };
    struct map_entry entries[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = (struct map_entry){.hash = 1, .key = keys[i].key, .len = keys[i].len};
        ck_assert_ptr_null(map_find(&map, 1, keys[i].key, keys[i].len));
        ck_assert(map_insert(&map, &entries[i]));
    }
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_ptr_eq(map_find(&map, 1, keys[i].key, keys[i].len), &entries[i]);
}

TEST(memory_of_a_crowd_is_given_back)
{
    enum { CROWD = 10000 };
    struct item *items = calloc(CROWD, sizeof *items);
    for (size_t i = 0; i < CROWD; i++) {
        item_init(&items[i], hash_spread(i), "x");
        toggle(&items[i]);
        if (map.count * 4 > map.capacity * 3)
            ck_abort_msg("%zu of %zu: so full that probing becomes a walk", map.count, map.capacity);
    }
    size_t crowded = map_bytes(&map);
    ck_assert_uint_ge(crowded, CROWD * sizeof(void *));
    for (size_t i = 0; i < CROWD; i++)
        toggle(&items[i]);
    ck_assert_uint_le(map_bytes(&map), crowded / 100);
    free(items);
}

TEST(a_new_seed_changes_every_hash)
{
    uint64_t before[16];
    char name = 'a';
    for (size_t i = 0; i < 16; i++, name++)
        before[i] = map_hash(&name, 1);
    ck_assert_uint_eq(before[0], map_hash("a", 1));
    ck_assert(map_seed());
    name = 'a';
    for (size_t i = 0; i < 16; i++, name++)
        ck_assert_uint_ne(before[i], map_hash(&name, 1));
}
