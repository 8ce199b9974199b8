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
    ck_assert(pending_replies_add(&u, &(struct pending_command){what, replies, 0}));
}

TEST(an_error_answers_the_oldest_command)
{
    ask(ASKED_SUBSCRIBE, 2);
    ask(ASKED_UNSUBSCRIBE, 1);
    ask(ASKED_PING, 1);
    pending_replies_reply(&u, ASKED_SUBSCRIBE);
    pending_replies_reply(&u, ASKED_SUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_PING);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_NOTHING);
    ck_assert(pending_replies_add(&u, &(struct pending_command){ASKED_SUBSCRIBE, 3, 17}));
    const struct pending_command refused = pending_replies_error(&u);
    ck_assert_int_eq(refused.what, ASKED_SUBSCRIBE); // all three channels
    ck_assert_uint_eq(refused.replies, 3);
    ck_assert_uint_eq(refused.batch, 17);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_NOTHING);
}

// Servers take subscriptions away by themselves (a slot moves).
TEST(an_unsubscribe_that_nobody_asked_for_changes_nothing)
{
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ask(ASKED_SUBSCRIBE, 1);
    ask(ASKED_UNSUBSCRIBE, 1);
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_SUBSCRIBE);
    pending_replies_reply(&u, ASKED_UNSUBSCRIBE);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_NOTHING);
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
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_SUBSCRIBE);
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
                ck_assert_int_eq(pending_replies_error(&u).what, kinds[settled % 3]);
            else
                pending_replies_reply(&u, kinds[settled % 3]);
            ck_assert_uint_eq(u.count, asked - settled - 1);
        }
    }
    pending_replies_clear(&u);
    ck_assert_int_eq(pending_replies_error(&u).what, ASKED_NOTHING);
}
