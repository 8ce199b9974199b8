// The last event id: what goes in comes out, it fits, and what no gateway has made says nothing.
#include "gateway/fanout/cursor.h"

#include <stdio.h>
#include <string.h>

#include "common/jitter.h"
#include "tests/unit/lib/cursor_find.h"
#include "tests/unit/lib/unit_main.h"

enum { MANY = 1024, NOW = 1700000000 };

static uint64_t random_state = 0xcafe;
static char names[MANY][32];
static struct cursor_entry entries[MANY];
static char text[CURSOR_MAX + 1];
static size_t len;

static uint64_t below(uint64_t n)
{
    return jitter_next(&random_state) % n;
}

// As streams have them: events of the last days, a few million at most.
static void fill(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "user:%zu", i);
        entries[i] = (struct cursor_entry){.hash = cursor_hash(names[i], strlen(names[i]))};
        if (below(5) > 0)
            entries[i].at = (struct event_id){.ms = NOW * UINT64_C(1000) - below(UINT64_C(7) * 86400000),
                                              .offset = 1 + below(UINT64_C(1) << below(22))};
    }
}

static void encode(size_t count)
{
    memset(text, '!', sizeof text);
    len = cursor_encode(entries, count, text);
    ck_assert_uint_le(len, CURSOR_MAX);
    ck_assert_int_eq(text[len], '!'); // and no byte more
    for (size_t i = 0; i < len; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text[i]))
            ck_abort_msg("%c in a cursor", text[i]);
}

static enum cursor_result find(const char *name, struct event_id *at)
{
    return cursor_find(text, len, name, strlen(name), at);
}

TEST(what_goes_in_comes_out)
{
    for (size_t count = 1; count <= 64; count++) {
        fill(count);
        encode(count);
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
            struct event_id at;
            ck_assert_int_eq(find(names[i], &at), CURSOR_KNOWN);
            found += event_id_equal(at, entries[i].at);
        }
        ck_assert_uint_eq(found, count);
        struct event_id at;
        ck_assert_int_eq(find("another", &at), CURSOR_NEW);
    }
}

TEST(a_channel_without_history_has_the_time_of_a_cursor_that_is_newer_than_all_its_events)
{
    struct event_id at;
    for (size_t i = 0; i < 3; i++)
        snprintf(names[i], sizeof names[i], "user:%zu", i);
    for (size_t i = 0; i < 3; i++)
        entries[i] = (struct cursor_entry){.hash = cursor_hash(names[i], strlen(names[i]))};
    entries[0].at = (struct event_id){.ms = NOW, .offset = 7};
    entries[1].at.ms = entries[2].at.ms = NOW + 1;
    encode(3);
    ck_assert_int_eq(find(names[0], &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, entries[0].at));
    ck_assert_int_eq(find(names[2], &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, entries[2].at));
    // A gateway's own is as new as the newest of its events, and says nothing of that time.
    entries[1].at.ms = entries[2].at.ms = 0;
    encode(3);
    ck_assert_int_eq(find(names[2], &at), CURSOR_KNOWN);
    ck_assert(event_id_is_zero(at));
}

TEST(a_cursor_that_was_cut_says_no_time_for_channels_without_history)
{
    struct event_id at;
    fill(200);
    entries[0].at = (struct event_id){0};
    for (size_t i = 1; i < 200; i++)
        entries[i].at = (struct event_id){.ms = NOW + i, .offset = 1u << 20};
    encode(200);
    ck_assert_int_eq(find(names[199], &at), CURSOR_UNKNOWN); // the newest
    ck_assert_int_eq(find(names[0], &at), CURSOR_KNOWN);
    ck_assert(event_id_is_zero(at));
}

// Sixteen bits of a hash are shared by two names in every thirtieth stream of 64 channels; these two do.
TEST(names_are_told_from_each_other)
{
    static const char *const pairs[][2] = {
        {"room:33", "room:75"}, {"room:167", "room:183"}, {"room:77", "room:389"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct event_id at;
        for (uint64_t k = 0; k < 2; k++)
            entries[k] = (struct cursor_entry){.hash = cursor_hash(pairs[i][k], strlen(pairs[i][k])),
                                               .at = {.ms = NOW + k, .offset = 1 + k}};
        encode(2);
        ck_assert_int_eq(find(pairs[i][1], &at), CURSOR_KNOWN);
        ck_assert_uint_eq(at.offset, 2);
        encode(1);
        ck_assert_int_eq(find(pairs[i][1], &at), CURSOR_NEW);
    }
}

// Names of which each shares 24 bits of its hash with its neighbour: as many pairs as are asked for.
static void find_collisions(size_t pairs)
{
    static unsigned first[1 << 24];
    memset(first, 0, sizeof first);
    size_t found = 0;
    for (unsigned n = 1; found < pairs; n++) {
        char name[32];
        snprintf(name, sizeof name, "room:%u", n);
        uint64_t hash = cursor_hash(name, strlen(name)) & 0xffffff;
        if (first[hash] == 0) {
            first[hash] = n;
            continue;
        }
        snprintf(names[2 * found], sizeof names[0], "room:%u", first[hash]);
        snprintf(names[2 * found + 1], sizeof names[0], "room:%u", n);
        first[hash] = 0;
        found++;
    }
}

// A stream of 64 channels, the first `shared` of which share 24 bits with a neighbour.
static void fill_shared(size_t shared)
{
    fill(64);
    find_collisions(shared / 2);
    for (size_t i = 0; i < 64; i++)
        entries[i].hash = cursor_hash(names[i], strlen(names[i]));
}

TEST(channels_that_share_24_bits_keep_a_place_each)
{
    for (size_t shared = 2; shared <= 16; shared += 2) {
        fill_shared(shared);
        encode(64);
        for (size_t i = 0; i < 64; i++) {
            struct event_id at = {0};
            ck_assert_int_eq(find(names[i], &at), CURSOR_KNOWN);
            ck_assert(event_id_equal(at, entries[i].at));
        }
        struct event_id at;
        ck_assert_int_eq(find("another", &at), CURSOR_NEW); // nothing was left out
    }
}

TEST(no_place_is_taken_for_that_of_another_channel_however_many_share_24_bits)
{
    fill_shared(64);
    for (size_t i = 0; i < 64; i++)
        entries[i].at = (struct event_id){.ms = NOW * UINT64_C(1000) * (i + 1), .offset = UINT64_C(1) << 40};
    encode(64);
    size_t known = 0;
    for (size_t i = 0; i < 64; i++) {
        struct event_id at;
        enum cursor_result r = find(names[i], &at);
        ck_assert_int_ne(r, CURSOR_NEW);
        ck_assert(r == CURSOR_UNKNOWN || event_id_equal(at, entries[i].at));
        known += r == CURSOR_KNOWN;
    }
    ck_assert_uint_ge(known, 30);
}

TEST(a_channel_without_a_place_does_not_get_that_of_one_that_shares_24_bits)
{
    static const enum cursor_result results[] = {CURSOR_NEW, CURSOR_UNKNOWN};
    for (size_t i = 0; i < 2; i++) {
        struct event_id at;
        fill_shared(2);
        entries[1].result = results[i];
        encode(2);
        ck_assert_int_eq(find(names[0], &at), CURSOR_KNOWN);
        ck_assert(event_id_equal(at, entries[0].at));
        ck_assert_int_eq(find(names[1], &at), results[i]);
    }
}

// Written by gateways that knew no long entries.
TEST(an_old_cursor_says_what_it_said)
{
    struct event_id at;
    len = strlen(strcpy(text, "awARIOfk9qCqM60BJAfsBnF0qrlgAMFBFgA"));
    ck_assert_int_eq(find("news", &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, (struct event_id){.ms = UINT64_C(1763690000123), .offset = 7}));
    ck_assert_int_eq(find("user:42", &at), CURSOR_KNOWN);
    ck_assert(event_id_equal(at, (struct event_id){.ms = UINT64_C(1763690000999), .offset = 12345}));
    ck_assert_int_eq(find("empty", &at), CURSOR_KNOWN);
    ck_assert(event_id_is_zero(at));
    ck_assert_int_eq(find("another", &at), CURSOR_NEW);
}

TEST(an_old_cursor_with_two_places_for_24_bits_says_neither)
{
    struct event_id at;
    len = strlen(strcpy(text, "FjRtIOfk9qCqMwmUswfsBgmUs7lgAK0BJAMA"));
    ck_assert_int_eq(find("room:1655", &at), CURSOR_UNKNOWN);
    ck_assert_int_eq(find("room:5650", &at), CURSOR_UNKNOWN);
    ck_assert_int_eq(find("news", &at), CURSOR_KNOWN);
    ck_assert_uint_eq(at.offset, 3);
}

TEST(extreme_positions_come_out_too)
{
    static const struct event_id at[] = {
        {0, 0},          {1, 1},     {UINT64_MAX, 1}, {UINT64_MAX, UINT64_MAX},
        {1, UINT64_MAX}, {127, 128}, {16384, 16383}};
    enum { COUNT = sizeof at / sizeof *at };
    fill(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        entries[i].at = at[i];
    encode(COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct event_id found;
        ck_assert_int_eq(find(names[i], &found), CURSOR_KNOWN);
        ck_assert(event_id_equal(found, at[i]));
    }
}

TEST(a_stream_with_all_the_channels_that_are_allowed_by_default_fits)
{
    struct event_id at;
    for (int round = 0; round < 200; round++) {
        fill(64);
        encode(64);
        ck_assert_int_eq(find("another", &at), CURSOR_NEW); // nothing was left out
    }
}

TEST(what_does_not_fit_is_unknown_and_what_fits_is_right)
{
    fill(MANY);
    encode(MANY);
    size_t known = 0;
    for (size_t i = 0; i < MANY; i++) {
        struct event_id at;
        enum cursor_result r = find(names[i], &at);
        ck_assert_int_ne(r, CURSOR_NEW);
        known += r == CURSOR_KNOWN && event_id_equal(at, entries[i].at);
    }
    ck_assert_uint_ge(known, 64);
}

TEST(a_place_that_nobody_knows_stays_unknown)
{
    struct event_id at;
    fill(3);
    entries[1].result = CURSOR_UNKNOWN;
    encode(3);
    ck_assert_int_eq(find(names[0], &at), CURSOR_KNOWN);
    ck_assert_int_eq(find(names[1], &at), CURSOR_UNKNOWN);
    ck_assert_int_eq(find(names[2], &at), CURSOR_KNOWN);
    entries[0].result = entries[2].result = CURSOR_UNKNOWN;
    encode(3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(find(names[i], &at), CURSOR_UNKNOWN);
}

static const char *const garbage[] = {
    "",
    "1",
    "42",
    "earliest",
    "1690000000000-0",
    "AAAA",
    "AAAAAA",
    "AAAAEAA",
    "....",
    "a b",
    "%00",
    "-",
    "\xff",
    "pLPJEI2AsO6fNE4fBAuEPwIAm4cB",
};

TEST_EACH(what_no_gateway_has_made_says_nothing, garbage)
{
    struct event_id at;
    len = strlen(garbage[_i]);
    memcpy(text, garbage[_i], len);
    ck_assert_int_eq(find("news", &at), CURSOR_UNKNOWN);
}

TEST(a_cursor_that_was_cut_or_grew_says_nothing)
{
    struct event_id at;
    fill(20);
    encode(20);
    size_t whole = len;
    for (len = 0; len < whole; len++)
        ck_assert_int_eq(find(names[0], &at), CURSOR_UNKNOWN);
    for (len = whole + 1; len < whole + 5; len++) {
        memset(text + whole, 'A', len - whole);
        ck_assert_int_eq(find(names[0], &at), CURSOR_UNKNOWN);
    }
    char longer[CURSOR_MAX + 4];
    memset(longer, 'A', sizeof longer);
    ck_assert_int_eq(cursor_find(longer, sizeof longer, "a", 1, &at), CURSOR_UNKNOWN);
}

// The bits behind the last byte count for nothing: there are at most four of them.
TEST(a_flipped_bit_is_noticed)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct event_id at;
    fill(9);
    encode(9);
    for (size_t i = 0; i + 1 < len; i++) {
        char was = text[i];
        for (int bit = 0; bit < 6; bit++) {
            text[i] = alphabet[(strchr(alphabet, was) - alphabet) ^ 1 << bit];
            ck_assert_int_eq(find(names[0], &at), CURSOR_UNKNOWN);
        }
        text[i] = was;
    }
    ck_assert_int_eq(find(names[0], &at), CURSOR_KNOWN);
}

TEST(the_same_places_make_the_same_cursor)
{
    char first[CURSOR_MAX];
    fill(5);
    encode(5);
    size_t first_len = len;
    memcpy(first, text, len);
    encode(5);
    ck_assert_uint_eq(len, first_len);
    ck_assert_mem_eq(text, first, len);
}
