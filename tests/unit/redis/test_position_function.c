// sse_position of the function library, in a real Redis, answers what cursor_encode makes of the same channels.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/function_library.h"
#include "common/jitter.h"
#include "gateway/fanout/cursor.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"
#include "tests/unit/lib/cursor_find.h"

enum { MANY = 200, NAME_MAX_LEN = 128 };

static struct redis_server server;
static redisContext *redis;
static uint64_t random_state = 0x5e7;
static char names[MANY][NAME_MAX_LEN + 1];
static struct cursor_entry entries[MANY];
static char position[8192];

static void setup(void)
{
    redis_server_start(&server, NULL);
    redis = redis_server_connect(&server);
    (void)redis_do(redis, "FUNCTION LOAD %s", function_library_text);
}

static void teardown(void)
{
    redisFree(redis);
    redis_server_kill(&server);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static uint64_t below(uint64_t n)
{
    return jitter_next(&random_state) % n;
}

static uint64_t redis_ms(void)
{
    redisReply *reply = redisCommand(redis, "TIME");
    ck_assert_ptr_nonnull(reply);
    uint64_t ms =
        strtoull(reply->element[0]->str, NULL, 10) * 1000 + strtoull(reply->element[1]->str, NULL, 10) / 1000;
    freeReplyObject(reply);
    return ms;
}

static void name_it(size_t i, size_t len)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:@/-";
    for (size_t k = 0; k < len; k++)
        names[i][k] = bytes[below(sizeof bytes - 1)];
    names[i][len] = '\0';
}

// A history whose newest entry is a random one of the last days, or none.
static void keep(size_t i, bool has_history)
{
    entries[i] = (struct cursor_entry){.hash = cursor_hash(names[i], strlen(names[i]))};
    (void)redis_do(redis, "DEL sse:{%s}", names[i]);
    if (!has_history)
        return;
    struct event_id at = {.ms = redis_ms() - below(UINT64_C(7) * 86400000),
                          .offset = 1 + below(UINT64_C(1) << below(40))};
    (void)redis_do(redis, "XADD sse:{%s} %llu-%llu epoch 1 prev 0-0 event %b retry %b data x", names[i],
                   (unsigned long long)at.ms, (unsigned long long)at.offset, "", (size_t)0, "", (size_t)0);
    entries[i].at = at;
}

// Asks for the first `count`; some of them by the names of their keys.
static void ask(size_t count)
{
    static char keys[MANY][NAME_MAX_LEN + 8], number[24];
    const char *argv[MANY + 3] = {"FCALL_RO", "sse_position", number};
    snprintf(number, sizeof number, "%zu", count);
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], below(4) ? "%s" : "sse:{%s}", names[i]);
        argv[i + 3] = keys[i];
    }
    redisReply *reply = redisCommandArgv(redis, (int)count + 3, argv, NULL);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->type == REDIS_REPLY_STRING, "%s", reply->str);
    ck_assert_uint_lt(reply->len, sizeof position);
    memcpy(position, reply->str, reply->len + 1);
    freeReplyObject(reply);
}

static bool is_encoded(size_t count, uint64_t asked_at)
{
    char text[CURSOR_MAX + 1];
    for (size_t i = 0; i < count; i++)
        if (entries[i].at.offset == 0)
            entries[i].at.ms = asked_at;
    text[cursor_encode(entries, count, text)] = '\0';
    return strcmp(text, position) == 0;
}

// A position without history is as of a time that lies between two questions for it.
static void assert_encoded(size_t count)
{
    uint64_t from = redis_ms();
    ask(count);
    uint64_t to = redis_ms();
    while (from <= to && !is_encoded(count, from))
        from++;
    ck_assert_msg(from <= to, "of %zu channels, the first is %s: %s", count, names[0], position);
}

TEST(a_name_of_any_length_has_the_hash_that_gateways_know_it_by)
{
    for (size_t len = 1; len <= NAME_MAX_LEN; len++) {
        name_it(0, len);
        keep(0, true);
        assert_encoded(1);
    }
}

TEST(any_set_of_channels_has_the_cursor_of_gateways)
{
    for (size_t round = 0; round < 150; round++) {
        size_t count = 1 + below(72);
        for (size_t i = 0; i < count; i++) {
            name_it(i, 6 + below(NAME_MAX_LEN - 5));
            keep(i, below(5) > 0);
        }
        assert_encoded(count);
    }
}

TEST(channels_that_share_24_bits_are_told_apart)
{
    static const char *const shared[] = {"room:1655", "room:5650", "room:6139", "room:9162",
                                         "room:139",  "room:9552", "room:4",    "room:5"};
    size_t count = sizeof shared / sizeof *shared;
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < count; i++) {
            snprintf(names[i], sizeof names[i], "%s", shared[(i + round) % count]);
            keep(i, below(5) > 0);
        }
        for (size_t n = 1; n <= count; n++)
            assert_encoded(n);
    }
}

TEST(a_channel_that_is_named_twice_counts_once)
{
    snprintf(names[0], sizeof names[0], "news");
    snprintf(names[1], sizeof names[1], "news");
    keep(0, true);
    ask(2);
    ck_assert(is_encoded(1, 0));
}

// The place of channel `i` in the one cursor that names it.
static struct event_id place_of(size_t i, size_t *cursors)
{
    struct event_id at = {0}, found = {0};
    size_t known = 0;
    *cursors = 0;
    for (const char *p = position; *p; p += strspn(p, ",")) {
        size_t len = strcspn(p, ",");
        ck_assert_uint_le(len, CURSOR_MAX);
        if (cursor_find(p, len, names[i], strlen(names[i]), &at) == CURSOR_KNOWN) {
            known++;
            found = at;
        }
        (*cursors)++;
        p += len;
    }
    ck_assert_uint_eq(known, 1);
    return found;
}

TEST(more_channels_than_a_cursor_holds_are_in_several)
{
    size_t cursors;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "user:%zu", i);
        keep(i, true);
    }
    ask(MANY);
    for (size_t i = 0; i < MANY; i++)
        ck_assert(event_id_equal(place_of(i, &cursors), entries[i].at));
    ck_assert_uint_eq(cursors, 4);
}
