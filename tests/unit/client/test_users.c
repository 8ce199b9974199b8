// Streams by subject, token and address: caps, who is the oldest, who is told to end, and how much memory that
// takes.
#include "gateway/client/users.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static struct users *users;
static char told[256]; // words: which streams were told to end, and why
static bool no_memory_to_tell;

static bool on_end(void *ctx, uint64_t id, enum close_reason reason)
{
    (void)ctx;
    if (no_memory_to_tell)
        return false;
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%u:%s ", (unsigned)id, close_reason_name(reason));
    return true;
}

static void setup(void)
{
    const struct users_hooks hooks = {.end = on_end};
    told[0] = '\0';
    no_memory_to_tell = false;
    users = users_create(&hooks);
    ck_assert_ptr_nonnull(users);
}

static void teardown(void)
{
    users_destroy(users); // asserts that nothing is left in it
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static const struct users_cap any = {.max = 0}, three = {.max = 3},
                              newest_three = {.max = 3, .replace_oldest = true};

static void note_id(void *ctx, uint64_t id)
{
    char *words = ctx;
    sprintf(words + strlen(words), "%u ", (unsigned)id);
}

static const char *streams_of(const char *key)
{
    static char words[256];
    words[0] = '\0';
    (void)users_each(users, key, note_id, words);
    return words;
}

static void enter(const char *key, uint64_t id, const struct users_cap *cap)
{
    ck_assert_int_eq(users_enter(users, key, id, cap), USERS_ENTERED);
    if (cap->replace_oldest)
        ck_assert(users_replace(users, id, cap->max));
}

static void leave(uint64_t first, uint64_t last)
{
    for (uint64_t id = first; id <= last; id++)
        users_leave(users, id);
}

TEST(streams_stand_in_the_order_in_which_they_came)
{
    enter("sub:ann", 7, &any);
    enter("sub:ben", 8, &any);
    enter("sub:ann", 3, &any);
    enter("sub:ann", 9, &any);
    ck_assert_str_eq(streams_of("sub:ann"), "7 3 9 ");
    users_leave(users, 3);
    ck_assert_str_eq(streams_of("sub:ann"), "7 9 ");
    ck_assert_str_eq(streams_of("sub:ben"), "8 ");
    ck_assert_str_eq(streams_of("sub:an"), "");
    leave(7, 9);
    ck_assert_str_eq(streams_of("sub:ann"), "");
}

TEST(a_stream_leaves_all_its_keys_at_once)
{
    enter("sub:ann", 1, &any);
    enter("jti:a81c", 1, &any);
    enter("ip:10", 1, &any);
    enter("ip:10", 65, &any); // shares its bucket
    users_leave(users, 1);
    ck_assert_str_eq(streams_of("jti:a81c"), "");
    ck_assert_str_eq(streams_of("ip:10"), "65 ");
    users_leave(users, 1);
    users_leave(users, 65);
}

TEST(a_cap_refuses_the_stream_that_is_too_many_and_no_other_users)
{
    for (uint64_t id = 1; id <= 3; id++)
        enter("sub:ann", id, &three);
    ck_assert_int_eq(users_enter(users, "sub:ann", 4, &three), USERS_FULL);
    enter("sub:ben", 5, &three);
    users_leave(users, 2);
    enter("sub:ann", 6, &three);
    ck_assert_str_eq(streams_of("sub:ann"), "1 3 6 ");
    ck_assert_str_eq(told, "");
    leave(1, 6);
}

TEST(where_the_oldest_is_replaced_it_is_told_once_and_does_not_count_any_more)
{
    for (uint64_t id = 1; id <= 5; id++)
        enter("sub:ann", id, &newest_three);
    ck_assert_str_eq(told, "1:replaced 2:replaced ");
    ck_assert_str_eq(streams_of("sub:ann"), "3 4 5 ");
    users_leave(users, 1); // has ended: it leaves the keys that it still has, here none
    ck_assert_str_eq(streams_of("sub:ann"), "3 4 5 ");
    leave(2, 5);
}

TEST(with_a_cap_of_one_each_stream_replaces_the_one_before)
{
    const struct users_cap one = {.max = 1, .replace_oldest = true};
    for (uint64_t id = 1; id <= 3; id++)
        enter("sub:ann", id, &one);
    ck_assert_str_eq(told, "1:replaced 2:replaced ");
    ck_assert_str_eq(streams_of("sub:ann"), "3 ");
    users_leave(users, 3);
}

TEST(where_the_oldest_cannot_be_told_the_new_one_is_refused_and_all_is_as_before)
{
    for (uint64_t id = 1; id <= 3; id++)
        enter("sub:ann", id, &newest_three);
    no_memory_to_tell = true;
    ck_assert_int_eq(users_enter(users, "sub:ann", 4, &newest_three), USERS_ENTERED);
    ck_assert(!users_replace(users, 4, newest_three.max));
    users_leave(users, 4);
    ck_assert_str_eq(streams_of("sub:ann"), "1 2 3 ");
    leave(1, 3);
}

TEST(a_stream_that_is_refused_after_it_has_entered_has_replaced_none)
{
    for (uint64_t id = 1; id <= 3; id++)
        enter("sub:ann", id, &newest_three);
    ck_assert_int_eq(users_enter(users, "ip:1", 4, &any), USERS_ENTERED);
    ck_assert_int_eq(users_enter(users, "sub:ann", 4, &newest_three), USERS_ENTERED);
    ck_assert_str_eq(streams_of("sub:ann"), "1 2 3 4 "); // found by a revocation meanwhile
    ck_assert_int_eq(users_enter(users, "sub:ann", 5, &newest_three), USERS_ENTERED);
    ck_assert(users_replace(users, 5, newest_three.max));
    ck_assert_str_eq(told, "1:replaced "); // one, whoever else waits
    users_leave(users, 4);
    ck_assert_str_eq(streams_of("sub:ann"), "2 3 5 ");
    ck_assert(users_replace(users, 5, newest_three.max)); // no effect
    leave(2, 5);
    ck_assert_str_eq(told, "1:replaced ");
}

TEST(a_key_may_have_all_the_streams_there_are_and_the_memory_comes_back)
{
    enum { COUNT = 50000 };
    size_t empty = users_bytes(users);
    for (uint64_t id = 1; id <= COUNT; id++)
        enter("sub:everybody", id, &any);
    ck_assert_uint_le(users_bytes(users) - empty, COUNT * (48 + 16));
    leave(1, COUNT);
    ck_assert_uint_le(users_bytes(users), empty + 16 * sizeof(void *));
}

TEST(as_many_keys_as_streams_take_bounded_memory)
{
    enum { COUNT = 20000 };
    size_t empty = users_bytes(users);
    for (uint64_t id = 1; id <= COUNT; id++) {
        char key[32];
        snprintf(key, sizeof key, "sub:user-%u", (unsigned)id);
        enter(key, id, &three);
    }
    ck_assert_uint_le(users_bytes(users) - empty, COUNT * 192);
    leave(1, COUNT);
    ck_assert_uint_le(users_bytes(users), empty + 16 * sizeof(void *));
}

static void *come_and_go(void *ctx)
{
    uint64_t base = *(uint64_t *)ctx;
    unsigned long *entered = ctx;
    *entered = 0;
    for (uint64_t i = 1; i <= 20000; i++) {
        if (users_enter(users, "sub:ann", base + i, &three) == USERS_ENTERED)
            ++*entered;
        users_leave(users, base + i);
    }
    return NULL;
}

TEST(threads_come_and_go_at_once)
{
    uint64_t bases[4], entered = 0;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        bases[i] = (uint64_t)i << 46;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &bases[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        entered += bases[i]; // one thread alone may have found the others in all three places
    }
    ck_assert_uint_gt(entered, 0);
}
