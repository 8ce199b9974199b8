// What each call does, one at a time. test_channels_model.c plays whole lives.
#include "gateway/bus/channels.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static struct channels all;
static struct node_channels node;

static void setup(void)
{
    ck_assert(map_seed());
    channels_init(&all);
    node_channels_init(&node, &all);
}

static void teardown(void)
{
    channels_deinit(&all);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static struct channel_ref ref_of(const char *name)
{
    return channel_ref(name, strlen(name));
}

static struct bus_channel *want_in_slot(unsigned worker, const char *name, uint16_t slot)
{
    const struct channel_ref ref = ref_of(name);
    struct bus_channel *c = channels_want(&all, worker, ref, slot);
    ck_assert_ptr_nonnull(c);
    if (!c->node)
        channel_move(&all, c, &node);
    return c;
}

static struct bus_channel *want(unsigned worker, const char *name)
{
    return want_in_slot(worker, name, 0);
}

static void unwant(unsigned worker, const char *name, uint64_t until_ms)
{
    const struct channel_ref ref = ref_of(name);
    channels_unwant(&all, worker, ref, until_ms);
}

static struct bus_channel *find(const char *name)
{
    const struct channel_ref ref = ref_of(name);
    return channels_find(&all, ref);
}

static struct bus_channel *confirm_at(struct node_channels *n, const char *name)
{
    const struct channel_ref ref = ref_of(name);
    return node_channels_confirm(n, ref);
}

static struct bus_channel *confirm(const char *name)
{
    return confirm_at(&node, name);
}

static struct bus_channel *add_internal(const char *name, uint16_t slot)
{
    static const struct channel_handler handler = {0};
    const struct channel_ref ref = ref_of(name);
    struct bus_channel *c = channels_add_internal(&all, ref, slot, &handler, NULL);
    ck_assert_ptr_nonnull(c);
    channel_move(&all, c, &node);
    return c;
}

// The names of the next batch, joined: "a b".
static const char *batch(size_t max)
{
    static char text[256];
    struct bus_channel *taken[16];
    size_t n = node_channels_take_batch(&node, taken, max);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        strcat(text, i ? " " : "");
        strncat(text, taken[i]->name, taken[i]->entry.len);
        ck_assert_int_eq(taken[i]->state, CHANNEL_SENT);
    }
    return text;
}

static size_t unowned(void)
{
    const struct bus_channel *c;
    size_t count = 0;
    TAILQ_FOREACH(c, &all.unowned, in_state)
    count++;
    return count;
}

// The node refuses the oldest batch that it has not answered.
static struct bus_channel *refuse_oldest(void)
{
    const struct bus_channel *first = TAILQ_FIRST(&node.in_state[CHANNEL_SENT]), *c;
    size_t count = 0;
    TAILQ_FOREACH(c, &node.in_state[CHANNEL_SENT], in_state)
    count += c->batch == first->batch;
    return first ? node_channels_refuse(&node, first->batch, count) : NULL;
}

// The same for what is unsubscribed.
static const char *expired(uint64_t now_ms, size_t max)
{
    static char text[256];
    struct bus_channel *taken[16];
    size_t n = node_channels_take_expired(&node, now_ms, taken, max);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        strcat(text, i ? " " : "");
        strncat(text, taken[i]->name, taken[i]->entry.len);
        free(taken[i]);
    }
    return text;
}

static void activate(const char *name)
{
    want(0, name);
    ck_assert_str_eq(batch(1), name);
    ck_assert_ptr_nonnull(confirm(name));
}

TEST(a_wanted_channel_is_sent_once_and_active_once_confirmed)
{
    struct bus_channel *a = want(3, "a");
    ck_assert_int_eq(a->state, CHANNEL_FRESH);
    ck_assert_str_eq(batch(16), "a");
    ck_assert_str_eq(batch(16), "");
    ck_assert_ptr_eq(confirm("a"), a);
    ck_assert_int_eq(a->state, CHANNEL_ACTIVE);
    ck_assert_uint_eq(a->workers, 1u << 3);
    ck_assert_ptr_null(confirm("a")); // said once
    ck_assert_str_eq(batch(16), "");
}

TEST(many_that_want_a_channel_share_one_subscription)
{
    struct bus_channel *a = want(0, "a");
    ck_assert_ptr_eq(want(5, "a"), a);
    ck_assert_ptr_eq(want(63, "a"), a);
    ck_assert_uint_eq(a->workers, UINT64_C(1) | UINT64_C(1) << 5 | UINT64_C(1) << 63);
    ck_assert_str_eq(batch(16), "a");
    confirm("a");
    ck_assert_ptr_eq(want(7, "a"), a);
    ck_assert_int_eq(a->state, CHANNEL_ACTIVE);
    ck_assert_str_eq(batch(16), "");
}

TEST(channels_leave_in_the_order_they_were_wanted_and_no_more_than_fit)
{
    want(0, "a"), want(0, "b"), want(0, "c"), want(1, "a"), want(0, "d");
    ck_assert_str_eq(batch(3), "a b c");
    want(0, "e");
    ck_assert_str_eq(batch(3), "d e");
}

TEST(a_channel_that_redis_was_not_told_of_goes_at_once)
{
    want(0, "a");
    unwant(0, "a", 5000);
    ck_assert_ptr_null(find("a"));
    ck_assert_str_eq(batch(16), "");
    unwant(0, "a", 5000); // nobody's: no effect
}

TEST(a_channel_is_kept_while_anyone_wants_it)
{
    activate("a");
    want(1, "a");
    unwant(0, "a", 5000);
    ck_assert(!find("a")->lingering);
    ck_assert_str_eq(expired(UINT64_MAX, 16), "");
    unwant(1, "a", 5000);
    ck_assert(find("a")->lingering);
}

TEST(a_channel_lingers_until_its_time_and_not_a_millisecond_less)
{
    activate("a");
    unwant(0, "a", 5000);
    ck_assert_str_eq(expired(4999, 16), "");
    ck_assert_ptr_nonnull(find("a"));
    ck_assert_str_eq(expired(5000, 16), "a");
    ck_assert_ptr_null(find("a"));
    ck_assert_str_eq(expired(UINT64_MAX, 16), "");
}

TEST(who_comes_back_while_it_lingers_finds_it_active)
{
    activate("a");
    unwant(0, "a", 5000);
    ck_assert_int_eq(want(1, "a")->state, CHANNEL_ACTIVE);
    ck_assert_str_eq(expired(UINT64_MAX, 16), "");
    ck_assert_str_eq(batch(16), "");
    unwant(1, "a", 7000);
    ck_assert_str_eq(expired(6999, 16), ""); // the second time counts
    ck_assert_str_eq(expired(7000, 16), "a");
}

TEST(leaving_twice_does_not_prolong_the_linger)
{
    activate("a");
    unwant(0, "a", 5000);
    unwant(0, "a", 9000);
    ck_assert_str_eq(expired(5000, 16), "a");
}

TEST(what_lingers_goes_oldest_first_and_no_more_than_fit)
{
    activate("a"), activate("b"), activate("c");
    unwant(0, "c", 100), unwant(0, "a", 200), unwant(0, "b", 300);
    ck_assert_str_eq(expired(250, 16), "c a");
    ck_assert_str_eq(expired(299, 16), "");
    unwant(0, "b", 300);
    activate("d");
    unwant(0, "d", 300);
    ck_assert_str_eq(expired(1000, 1), "b");
    ck_assert_str_eq(expired(1000, 1), "d");
}

// Redis answers in order, and its answer to a batch is told by the oldest that is still SENT: were that one
// taken away, the next batch would get its answer.
TEST(a_channel_is_not_unsubscribed_before_redis_has_answered)
{
    want(0, "a");
    ck_assert_str_eq(batch(16), "a");
    unwant(0, "a", 100);
    ck_assert_str_eq(expired(100, 16), "");
    want(0, "b");
    ck_assert_str_eq(batch(16), "b");
    unwant(0, "b", 200);
    ck_assert_ptr_eq(refuse_oldest(), find("a"));
    ck_assert_str_eq(expired(200, 16), "a");
    ck_assert_ptr_eq(confirm("b"), find("b"));
    ck_assert_str_eq(expired(200, 16), "b");
}

// While Redis stands still, each stream that leaves would else cost a walk over all that left before.
TEST(channels_that_cannot_leave_yet_are_not_looked_through)
{
    for (char name[] = "a"; *name <= 'h'; ++*name)
        want(0, name);
    ck_assert_str_eq(batch(16), "a b c d e f g h");
    for (char name[] = "a"; *name <= 'h'; ++*name)
        unwant(0, name, 100);
    ck_assert_uint_eq(node.lingering_count, 0);
    confirm("c");
    ck_assert_uint_eq(node.lingering_count, 1);
    ck_assert_str_eq(expired(100, 16), "c");
    want(1, "d");
    confirm("d");
    ck_assert_uint_eq(node.lingering_count, 0);
    node_channels_reset(&node);
    ck_assert_str_eq(batch(16), "d");
}

TEST(a_channel_that_is_refused_alone_is_denied)
{
    struct bus_channel *a = want(0, "a");
    batch(16);
    ck_assert_ptr_eq(refuse_oldest(), a);
    ck_assert_int_eq(a->state, CHANNEL_DENIED);
    ck_assert_str_eq(batch(16), "");
    ck_assert_ptr_null(confirm("a"));
}

TEST(a_refused_batch_is_sent_again_one_by_one)
{
    want(0, "a"), want(0, "b"), want(0, "c");
    ck_assert_str_eq(batch(16), "a b c");
    want(0, "d"), want(0, "e");
    ck_assert_str_eq(batch(16), "d e");
    ck_assert_ptr_null(refuse_oldest());
    ck_assert_str_eq(batch(16), "a");
    ck_assert_str_eq(batch(16), "b");
    ck_assert_str_eq(batch(16), "c");
    ck_assert_str_eq(batch(16), "");
    // The answers, in the order of the commands.
    confirm("d"), confirm("e"), confirm("a");
    ck_assert_ptr_eq(refuse_oldest(), find("b"));
    confirm("c");
    ck_assert_int_eq(find("a")->state, CHANNEL_ACTIVE);
    ck_assert_int_eq(find("b")->state, CHANNEL_DENIED);
    ck_assert_int_eq(find("c")->state, CHANNEL_ACTIVE);
}

TEST(what_goes_alone_does_not_travel_with_new_channels)
{
    want(0, "a"), want(0, "b");
    batch(16);
    want(0, "c");
    refuse_oldest();
    want(0, "d");
    ck_assert_str_eq(batch(16), "c");
    ck_assert_str_eq(batch(16), "a");
    ck_assert_str_eq(batch(16), "b");
    ck_assert_str_eq(batch(16), "d");
}

TEST(a_refusal_that_nothing_waits_for_has_no_effect)
{
    ck_assert_ptr_null(refuse_oldest());
    activate("a");
    ck_assert_ptr_null(refuse_oldest());
    ck_assert_int_eq(find("a")->state, CHANNEL_ACTIVE);
}

static void deny(const char *name)
{
    want(0, name);
    ck_assert_str_eq(batch(1), name);
    ck_assert_ptr_eq(refuse_oldest(), find(name));
}

// Else each new stream of a forbidden channel would cost Redis a command.
TEST(who_wants_a_denied_channel_does_not_have_it_tried_again)
{
    deny("a");
    ck_assert_int_eq(want(1, "a")->state, CHANNEL_DENIED);
    ck_assert_str_eq(batch(16), "");
}

TEST(denied_channels_are_tried_again_one_by_one_when_it_is_time)
{
    deny("a"), deny("b");
    want(0, "c");
    node_channels_retry(&node, CHANNEL_DENIED);
    want(0, "d");
    ck_assert_str_eq(batch(16), "c");
    ck_assert_str_eq(batch(16), "a");
    ck_assert_str_eq(batch(16), "b");
    ck_assert_str_eq(batch(16), "d");
    confirm("c");
    ck_assert_ptr_nonnull(confirm("a")); // rights have been given meanwhile
    ck_assert_ptr_eq(refuse_oldest(), find("b"));
    ck_assert_int_eq(find("a")->state, CHANNEL_ACTIVE);
    ck_assert_int_eq(find("b")->state, CHANNEL_DENIED);
}

TEST(a_denied_channel_goes_with_the_last_who_wanted_it)
{
    deny("a");
    unwant(0, "a", 5000);
    ck_assert_ptr_null(find("a"));
    node_channels_retry(&node, CHANNEL_DENIED);
    ck_assert_str_eq(batch(16), "");
}

TEST(after_a_reset_all_that_is_wanted_is_fresh_in_one_batch)
{
    activate("a");
    want(0, "b"), want(0, "c");
    batch(16);
    refuse_oldest(); // b and c are to go alone
    want(0, "d");
    ck_assert_str_eq(batch(1), "b");
    refuse_oldest(); // b is denied
    node_channels_reset(&node);
    ck_assert_uint_eq(strlen(batch(16)), strlen("a b c d"));
    ck_assert_ptr_nonnull(confirm("a"));
    ck_assert_ptr_nonnull(confirm("b"));
    ck_assert_ptr_nonnull(confirm("c"));
    ck_assert_ptr_nonnull(confirm("d"));
}

TEST(after_a_reset_only_what_was_active_may_have_a_hole)
{
    activate("a");
    want(0, "b");
    batch(16);
    want(0, "c");
    node_channels_reset(&node);
    ck_assert(find("a")->was_active);
    ck_assert(!find("b")->was_active);
    ck_assert(!find("c")->was_active);
    node_channels_reset(&node); // lost again before it was confirmed
    ck_assert(find("a")->was_active);
}

TEST(after_a_reset_what_lingered_is_forgotten)
{
    activate("a"), activate("b");
    unwant(0, "a", 5000);
    node_channels_reset(&node);
    ck_assert_ptr_null(find("a"));
    ck_assert_str_eq(batch(16), "b");
    ck_assert_str_eq(expired(UINT64_MAX, 16), "");
}

TEST(after_a_reset_internal_channels_come_last)
{
    add_internal("canary", 0);
    for (char name[] = "a"; *name <= 'e'; ++*name)
        want(0, name);
    batch(16);
    node_channels_reset(&node);
    ck_assert_str_ne(batch(5), "");
    ck_assert_str_eq(batch(16), "canary");
}

TEST(an_internal_channel_stays_and_counts_as_nobodys)
{
    struct bus_channel *canary = add_internal("canary", 0);
    ck_assert_str_eq(batch(16), "canary");
    ck_assert_ptr_eq(confirm("canary"), canary);
    ck_assert_uint_eq(all.active_count, 0);
    unwant(0, "canary", 0); // a worker that never wanted it
    ck_assert_ptr_eq(find("canary"), canary);
    ck_assert(!canary->lingering);
    channels_forget(&all, canary);
    ck_assert_ptr_null(find("canary"));
}

TEST(a_confirmation_of_what_was_not_asked_has_no_effect)
{
    ck_assert_ptr_null(confirm("a"));
    want(0, "a");
    ck_assert_ptr_null(confirm("a")); // of an older connection, say
    ck_assert_int_eq(find("a")->state, CHANNEL_FRESH);
}

TEST(a_worker_that_comes_anew_was_told_of_no_loss)
{
    struct bus_channel *a = want(0, "a");
    want(1, "a");
    a->gap_told = 3;
    unwant(0, "a", 5000);
    want(0, "a");
    ck_assert_uint_eq(a->gap_told, 2);
}

TEST(a_batch_holds_channels_of_one_slot)
{
    want_in_slot(0, "a", 7), want_in_slot(0, "b", 7), want_in_slot(0, "c", 9), want_in_slot(0, "d", 7);
    ck_assert_str_eq(batch(16), "a b");
    ck_assert_str_eq(batch(16), "c");
    ck_assert_str_eq(batch(16), "d");
}

TEST(sorted_channels_of_one_slot_go_out_together_and_internal_ones_last)
{
    add_internal("z", 7);
    want_in_slot(0, "a", 9), want_in_slot(0, "b", 8), want_in_slot(0, "c", 9), want_in_slot(0, "d", 8);
    node_channels_sort_fresh(&node);
    for (int i = 0; i < 2; i++) {
        const char *names = batch(16);
        ck_assert_msg(strcmp(names, i ? "a c" : "b d") == 0 || strcmp(names, i ? "c a" : "d b") == 0, "%s",
                      names);
    }
    ck_assert_str_eq(batch(16), "z");
}

// True where the channel was ACTIVE.
static bool taken_away(const char *name)
{
    const struct channel_ref ref = ref_of(name);
    const struct bus_channel *before = find(name);
    bool was_active = before && before->state == CHANNEL_ACTIVE;
    ck_assert_ptr_eq(node_channels_unsubscribed(&node, ref), was_active ? find(name) : NULL);
    return was_active;
}

TEST(what_a_node_sends_elsewhere_waits_until_it_is_tried_again)
{
    want_in_slot(0, "a", 7), want_in_slot(0, "b", 7), want_in_slot(0, "c", 9);
    ck_assert_str_eq(batch(16), "a b");
    ck_assert_str_eq(batch(16), "c");
    uint32_t of_a = find("a")->batch;
    node_channels_batch_moved(&node, find("c")->batch);
    ck_assert_int_eq(find("c")->state, CHANNEL_MOVED);
    node_channels_batch_moved(&node, of_a);
    ck_assert_int_eq(find("a")->state, CHANNEL_MOVED);
    ck_assert_int_eq(find("b")->state, CHANNEL_MOVED);
    node_channels_batch_moved(&node, of_a);
    ck_assert_str_eq(batch(16), "");
    node_channels_retry(&node, CHANNEL_MOVED);
    ck_assert_str_eq(batch(16), "c");
    ck_assert_str_eq(batch(16), "a b");
    ck_assert(!confirm("a")->was_active);
}

TEST(an_error_for_a_batch_that_nothing_waits_for_has_no_effect)
{
    want_in_slot(0, "a", 7);
    ck_assert_str_eq(batch(16), "a");
    node_channels_batch_moved(&node, find("a")->batch + 1);
    ck_assert_int_eq(find("a")->state, CHANNEL_SENT);
}

TEST(a_channel_that_redis_takes_away_may_have_a_hole)
{
    activate("a"), activate("b");
    want(0, "c");
    unwant(0, "b", 5000);
    ck_assert(taken_away("a"));
    ck_assert(find("a")->was_active);
    ck_assert(taken_away("b")); // nobody misses it
    ck_assert_ptr_null(find("b"));
    ck_assert_uint_eq(node.lingering_count, 0);
    ck_assert(!taken_away("c")); // was not subscribed
    ck_assert_int_eq(find("c")->state, CHANNEL_FRESH);
    ck_assert(!taken_away("a")); // told once
    ck_assert(!taken_away("x"));
}

TEST(a_moved_channel_goes_with_the_last_who_wanted_it_and_a_lost_connection_makes_it_fresh)
{
    activate("a"), activate("b");
    ck_assert(taken_away("a") && taken_away("b"));
    unwant(0, "a", 5000);
    ck_assert_ptr_null(find("a"));
    node_channels_reset(&node);
    ck_assert_str_eq(batch(16), "b");
    ck_assert(confirm("b")->was_active);
}

TEST(a_channel_moves_to_another_node_with_all_who_want_it)
{
    struct node_channels other;
    node_channels_init(&other, &all);
    activate("a");
    want(5, "a");
    want(0, "b");
    ck_assert_str_eq(batch(16), "b"); // a SUBSCRIBE that is out at the old node
    size_t before = channels_bytes(&all);
    struct bus_channel *a = find("a"), *b = find("b");
    channel_move(&all, a, &other);
    channel_move(&all, b, &other);
    ck_assert_ptr_null(refuse_oldest()); // nothing of it is left behind
    ck_assert_ptr_null(confirm("b"));    // nor does the old node confirm it
    ck_assert_uint_eq(channels_bytes(&all), before);
    ck_assert_ptr_eq(find("a"), a);
    ck_assert_uint_eq(a->workers, 1u | 1u << 5);
    ck_assert(a->was_active);
    ck_assert(!b->was_active);
    ck_assert_uint_eq(all.active_count, 0);
    struct bus_channel *taken[4];
    ck_assert_uint_eq(node_channels_take_batch(&other, taken, 4), 2);
    ck_assert_ptr_eq(confirm_at(&other, "a"), a);
    ck_assert_uint_eq(all.active_count, 1);
}

TEST(a_channel_without_a_node_waits_for_one_and_goes_with_the_last_who_wanted_it)
{
    const struct channel_ref a = ref_of("a"), b = ref_of("b");
    ck_assert_int_eq(channels_want(&all, 0, a, 7)->state, CHANNEL_UNOWNED);
    ck_assert_ptr_nonnull(channels_want(&all, 0, b, 7));
    ck_assert_uint_eq(unowned(), 2);
    unwant(0, "b", 5000);
    ck_assert_ptr_null(find("b"));
    ck_assert_uint_eq(unowned(), 1);
    channel_move(&all, find("a"), &node);
    ck_assert_uint_eq(unowned(), 0);
    ck_assert_str_eq(batch(16), "a");
    confirm("a");
    channel_move(&all, find("a"), NULL);
    ck_assert_int_eq(find("a")->state, CHANNEL_UNOWNED);
    ck_assert(find("a")->was_active);
}

static void leave_node(void *ctx, struct bus_channel *c)
{
    ++*(int *)ctx;
    channel_move(&all, c, NULL);
}

TEST(every_channel_of_a_node_is_visited_whatever_its_state)
{
    int visits = 0;
    activate("a");
    deny("b");
    activate("c");
    ck_assert(taken_away("c"));
    want(0, "d");
    ck_assert_str_eq(batch(16), "d");
    want(0, "e");
    node_channels_each(&node, leave_node, &visits);
    ck_assert_int_eq(visits, 5);
    ck_assert_uint_eq(unowned(), 5);
    node_channels_each(&node, leave_node, &visits);
    ck_assert_int_eq(visits, 5);
}

TEST(memory_is_accounted_for_and_given_back)
{
    size_t empty = channels_bytes(&all);
    activate("a"), activate("b");
    want(0, "c");
    ck_assert_uint_ge(channels_bytes(&all), empty + 3 * sizeof(struct bus_channel));
    unwant(0, "a", 1), unwant(0, "c", 1);
    ck_assert_str_eq(expired(1, 16), "a");
    unwant(0, "b", 1);
    node_channels_reset(&node);
    ck_assert_uint_eq(channels_bytes(&all), map_bytes(&all.map));
}

// A slot may leave a node between the SUBSCRIBE and its refusal.
TEST(a_refusal_of_a_channel_that_has_left_the_node_hits_no_other)
{
    struct bus_channel *a = want(0, "a");
    ck_assert_str_eq(batch(16), "a");
    uint32_t of_a = a->batch;
    struct bus_channel *b = want(0, "b");
    ck_assert_str_eq(batch(16), "b");
    channel_move(&all, a, NULL);
    ck_assert_ptr_null(node_channels_refuse(&node, of_a, 1));
    node_channels_batch_moved(&node, of_a);
    ck_assert_int_eq(b->state, CHANNEL_SENT);
    ck_assert_ptr_eq(confirm("b"), b);
}

// It may be the other one that an ACL forbids.
TEST(what_is_left_of_a_refused_batch_is_sent_again)
{
    struct bus_channel *a = want(0, "a"), *b = want(0, "b");
    ck_assert_str_eq(batch(16), "a b");
    uint32_t both = a->batch;
    channel_move(&all, a, NULL);
    ck_assert_ptr_null(node_channels_refuse(&node, both, 2));
    ck_assert_str_eq(batch(16), "b");
    ck_assert_ptr_eq(node_channels_refuse(&node, b->batch, 1), b);
}
