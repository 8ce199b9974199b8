#include "gateway/redis/pending_replies.h"
#include "tests/unit/lib/unit_main.h"

static struct pending_replies u;

static void setup(void)
{
    u = (struct pending_replies){0};
}

static void teardown(void)
{
    pending_replies_deinit(&u);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void ask(enum asked what, uint32_t replies)
{
    ck_assert(pending_replies_add(&u, what, replies));
}

TEST(an_error_answers_the_oldest_command)
{
    ask(ASKED_SUBSCRIBE, 2);
    ask(ASKED_UNSUBSCRIBE, 1);
    ask(ASKED_PING, 1);
    pending_replies_reply(&u, ASKED_SUBSCRIBE);
    pending_replies_reply(&u, ASKED_SUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_PING);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_NOTHING);
    ask(ASKED_SUBSCRIBE, 3);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_SUBSCRIBE); // all three channels
    ck_assert_int_eq(pending_replies_error(&u), ASKED_NOTHING);
}

// Servers take subscriptions away by themselves (a slot moves).
TEST(an_unsubscribe_that_nobody_asked_for_changes_nothing)
{
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ask(ASKED_SUBSCRIBE, 1);
    ask(ASKED_UNSUBSCRIBE, 1);
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_SUBSCRIBE);
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_NOTHING);
}

// Whatever was counted wrongly, the next answer that is sure puts right.
TEST(an_answer_settles_what_was_asked_before_it)
{
    ask(ASKED_UNSUBSCRIBE, 5);
    ask(ASKED_PING, 1);
    ask(ASKED_SUBSCRIBE, 2);
    pending_replies_reply(&u, ASKED_SUBSCRIBE);
    ck_assert_uint_eq(u.count, 1);
    pending_replies_reply(&u, ASKED_PING);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_SUBSCRIBE);
}

TEST(many_may_wait_and_none_is_lost_or_kept)
{
    static const enum asked kinds[] = {ASKED_SUBSCRIBE, ASKED_UNSUBSCRIBE, ASKED_PING};
    size_t asked = 0, settled = 0;
    for (int round = 1; round < 200; round++) {
        for (int i = 0; i < round; i++, asked++)
            ask(kinds[asked % 3], 1);
        for (int i = 0; i < round - 1; i++, settled++) {
            if (settled % 2)
                ck_assert_int_eq(pending_replies_error(&u), kinds[settled % 3]);
            else
                pending_replies_reply(&u, kinds[settled % 3]);
            ck_assert_uint_eq(u.count, asked - settled - 1);
        }
    }
    pending_replies_clear(&u);
    ck_assert_int_eq(pending_replies_error(&u), ASKED_NOTHING);
}
