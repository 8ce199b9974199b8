// What a hub asks for and remembers stays within its budget, and is released with those who needed it.
#include <stdio.h>
#include <string.h>

#include "gateway/fanout/message.h"
#include "tests/unit/lib/hub_world.h"
#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.setup = hub_world_setup, .teardown = hub_world_teardown);

TEST(pages_begin_small_and_grow_by_the_size_of_the_events)
{
    join(0, FROM_EARLIEST, 0);
    confirm(1000);
    ck_assert_uint_le(world.query.entries, 16); // of events that may have a megabyte each
    page(0, 1, 16, false);
    ck_assert_uint_eq(world.query.entries, 64);
    page(16, 16, 79, false);
    ck_assert_uint_eq(world.query.entries, 256);
    world.event_size = 16 << 10;
    page(79, 79, 334, false);
    ck_assert_uint_eq(world.query.entries, 15); // of which 256 KiB hold so many
    world.event_size = 1 << 20;
    page(334, 334, 348, false);
    ck_assert_uint_eq(world.query.entries, HISTORY_PAGE_ENTRIES_MIN);
}

TEST(a_page_for_a_channel_that_is_gone_is_released)
{
    join(0, FROM_EVENT_ID, 2);
    confirm(4);
    leave(0);
    page(2, 2, 4, true);
    ck_assert(!world.wanted);
}

TEST(leaving_in_any_order_while_behind_leaves_nothing)
{
    for (size_t i = 0; i < 16; i++)
        join(i, i % 3 ? FROM_EVENT_ID : FROM_EARLIEST, i % 3);
    confirm(9);
    for (size_t i = 0; i < 16; i += 2)
        leave(i);
    answer(world.query, 1, 9, true);
    for (size_t i = 15; i < 16; i -= 2)
        leave(i);
}

static char own_names[STREAMS][8];

// Stream `i` resumes in a channel of its own.
static struct channel_ref join_alone(size_t i)
{
    snprintf(own_names[i], sizeof own_names[i], "c%u", (unsigned)i % 1000);
    const struct hub_name name = {.channel = channel_ref(own_names[i], strlen(own_names[i])),
                                  .from = FROM_EARLIEST};
    ck_assert(hub_join(world.hub, &world.streams[i].subscriber, &name, 1));
    hub_confirm(
        world.hub, name.channel,
        &(struct history_tail){.has_history = true, .last = place(200), .subscribe_seq = world.last_seq});
    feed();
    return name.channel;
}

// All that its channel has, or else a page of the first event that was the size of `largest`.
static void answer_alone(struct channel_ref channel, struct history_query to, bool all, size_t largest)
{
    struct frame *frames[200];
    struct history_page p = {
        .query = to, .at_end = all, .frames = frames, .count = all ? 200 : 1, .largest = largest};
    for (uint64_t n = 1; n <= p.count; n++) {
        const struct event_place at = {.at = place(n), .prev = place(n - 1), .epoch = world.life + 1};
        struct sse_event event = {.data = "x", .data_len = 1};
        frames[n - 1] = message_durable_frame(channel, &at, &event);
    }
    hub_page(world.hub, channel, &p);
    feed();
}

static void resume_alone(size_t i)
{
    answer_alone(join_alone(i), world.query, true, 0);
}

TEST(pages_that_were_asked_for_count_before_they_come)
{
    struct channel_ref channels[STREAMS];
    struct history_query first = {0};
    for (size_t i = 0; i < STREAMS; i++) {
        channels[i] = join_alone(i);
        first = i == 0 ? world.query : first;
    }
    // How large the events are is not known: what these pages might have is all that may be remembered.
    ck_assert_uint_le(world.asked, 4);
    ck_assert_uint_le(atomic_load(&world.budget.used), 1 << 20);
    answer_alone(channels[0], first, true, 0);
    ck_assert_uint_gt(world.asked, 4); // it was little
    for (size_t i = 0; i < 4 * STREAMS && strncmp(world.streams[STREAMS - 1].heard, "1 2 3 ", 6) != 0; i++) {
        ck_assert_uint_le(atomic_load(&world.budget.used), 2 << 20);
        later(60000); // pages that do not come hold nothing for ever
        answer_alone(channels[i % STREAMS], world.query, true, 0);
    }
    ck_assert(strncmp(world.streams[STREAMS - 1].heard, "1 2 3 ", 6) == 0);
}

TEST(a_hub_reads_a_page_although_others_hold_the_whole_budget)
{
    replay_budget_add(&world.budget, 2 << 20);
    resume_alone(0);
    resume_alone(1);
    ck_assert(strncmp(heard(0), "1 2 3 ", 6) == 0);
    ck_assert(strncmp(heard(1), "1 2 3 ", 6) == 0);
    leave(0);
    later(1000); // what nobody needs any more is not kept then
    ck_assert_uint_eq(hub_channel_count(world.hub), 1);
    replay_budget_remove(&world.budget, 2 << 20);
}

TEST(entries_that_became_gaps_count_with_the_size_that_redis_sent)
{
    struct channel_ref channel = join_alone(0);
    answer_alone(channel, world.query, false, 4 << 20);
    ck_assert_uint_eq(world.query.entries, 2);
    join_alone(1);                     // in another channel, too
    ck_assert_uint_eq(world.asked, 2); // and waits: the page that is on its way may have all that is allowed
}

TEST(what_is_remembered_stays_below_the_limit_however_many_channels_resume)
{
    resume_alone(0);
    size_t one = hub_replay_bytes(world.hub);
    ck_assert_uint_gt(STREAMS * one, 2 << 20);
    for (size_t i = 1; i < STREAMS; i++) {
        resume_alone(i);
        ck_assert_uint_le(hub_replay_bytes(world.hub), (1 << 20) + one);
        ck_assert(strncmp(heard(i), "1 2 3 ", 6) == 0);
    }
}
