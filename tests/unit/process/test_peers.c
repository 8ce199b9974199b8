#include "gateway/process/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static struct peers peers;

static void teardown(void)
{
    peers_free(&peers);
}

TESTS_WITH(.teardown = teardown);

static struct announcement of(const char *id, uint64_t run)
{
    struct announcement a = {
        .version = "1", .run = run, .connections = 10, .capacity = 100, .every_ms = 1000, .ready = true};
    snprintf(a.id, sizeof a.id, "%s", id);
    return a;
}

static enum peers_news hear(const struct announcement *a, uint64_t now_ms)
{
    struct announcement out;
    char *text = announcement_text(a);
    enum peers_news news = peers_hear(&peers, text, strlen(text), now_ms, &out);
    free(text);
    return news;
}

TEST(a_gateway_is_known_until_it_was_silent_for_three_intervals)
{
    const struct announcement a = of("a", 1);
    ck_assert_int_eq(hear(&a, 1000), PEERS_NEW);
    ck_assert_int_eq(hear(&a, 2000), PEERS_KNOWN);
    peers_expire(&peers, 2000 + 3000 + PEERS_GRACE_MS);
    ck_assert_ptr_nonnull(peers_find(&peers, 1));
    peers_expire(&peers, 2001 + 3000 + PEERS_GRACE_MS);
    ck_assert_ptr_null(peers_find(&peers, 1));
}

TEST(a_gateway_that_leaves_is_gone_at_once)
{
    struct announcement a = of("a", 1);
    (void)hear(&a, 1000);
    a.leaving = true;
    ck_assert_int_eq(hear(&a, 1100), PEERS_GONE);
    ck_assert_uint_eq(peers.count, 0);
    ck_assert_int_eq(hear(&a, 1200), PEERS_KNOWN);
    ck_assert_uint_eq(peers.count, 0);
}

TEST(two_gateways_with_one_id_are_noticed_once_and_both_count)
{
    const struct announcement a = of("a", 1), b = of("a", 2);
    unsigned said = 0;
    for (uint64_t now = 1000; now < 60000; now += 1000) {
        said += hear(&a, now) == PEERS_SAME_ID;
        said += hear(&b, now + 300) == PEERS_SAME_ID;
    }
    ck_assert_uint_eq(said, 1);
    ck_assert_uint_eq(peers_sum_others(&peers, 3).gateways, 2);
}

TEST(a_gateway_that_was_killed_and_starts_again_is_not_another_one_with_its_id)
{
    const struct announcement a = of("a", 1), b = of("a", 2);
    (void)hear(&a, 1000);
    (void)hear(&a, 2000);
    for (uint64_t now = 2500; now < 60000; now += 1000)
        ck_assert_int_ne(hear(&b, now), PEERS_SAME_ID);
}

TEST(junk_changes_nothing)
{
    struct announcement out;
    ck_assert_int_eq(peers_hear(&peers, "junk", 4, 1000, &out), PEERS_JUNK);
    ck_assert_uint_eq(peers.count, 0);
}

TEST(there_is_room_for_so_many_and_those_that_are_known_stay)
{
    char id[16];
    for (unsigned i = 1; i <= PEERS_MAX + 10; i++) {
        snprintf(id, sizeof id, "gw%u", i);
        const struct announcement a = of(id, i);
        ck_assert_int_eq(hear(&a, 1000), i <= PEERS_MAX ? PEERS_NEW : PEERS_FULL);
    }
    const struct announcement first = of("gw1", 1);
    ck_assert_int_eq(hear(&first, 1100), PEERS_KNOWN);
    ck_assert_uint_eq(peers.count, PEERS_MAX);
}

TEST(sums_are_of_the_others_that_take_part)
{
    struct announcement own = of("own", 1), drains = of("drains", 2), full = of("full", 3),
                        unready = of("unready", 4), plain = of("plain", 5);
    drains.draining = true;
    full.connections = full.capacity = 50;
    full.ready = unready.ready = false;
    (void)hear(&own, 1000);
    (void)hear(&full, 1500);
    (void)hear(&unready, 1100);
    (void)hear(&plain, 2000);
    struct peers_sum sum = peers_sum_others(&peers, 1);
    ck_assert_uint_eq(sum.gateways, 2);
    ck_assert_uint_eq(sum.connections, 60);
    ck_assert_uint_eq(sum.capacity, 150);
    ck_assert_uint_eq(sum.oldest_news_ms, 1500);
    ck_assert_uint_eq(sum.lowest_connections, 10);
    ck_assert(!sum.any_draining);
    (void)hear(&drains, 2100);
    ck_assert(peers_sum_others(&peers, 1).any_draining);
    ck_assert_uint_eq(peers_sum_others(&peers, 1).members, sum.members);
    (void)hear(
        &(struct announcement){
            .id = "new", .version = "1", .run = 9, .capacity = 1, .every_ms = 1000, .ready = true},
        2200);
    ck_assert_uint_ne(peers_sum_others(&peers, 1).members, sum.members);
}

TEST(a_large_tier_announces_itself_more_rarely)
{
    char id[16];
    ck_assert_uint_eq(peers_every_ms(&peers), 1000);
    for (unsigned i = 1; i <= 1000; i++) {
        snprintf(id, sizeof id, "gw%u", i);
        const struct announcement a = of(id, i);
        (void)hear(&a, 1000);
    }
    ck_assert_uint_eq(peers_every_ms(&peers), 10000);
}

TEST(listening_anew_forgets_all)
{
    const struct announcement a = of("a", 1);
    (void)hear(&a, 1000);
    peers_begin(&peers, 2000);
    ck_assert_uint_eq(peers.count, 0);
    ck_assert_uint_eq(peers.since_ms, 2000);
}
