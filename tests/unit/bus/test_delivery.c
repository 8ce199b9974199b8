// Delivery to a worker with a small mailbox: what arrives, in which order, and where a loss is told. A real
// mailbox on a real loop; the test plays the worker.
#include "gateway/bus/delivery.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/map.h"
#include "tests/unit/lib/unit_main.h"

#define PAYLOAD 1000    // bytes
#define ROOM (3 * 1050) // of the mailbox: three such messages, not four

static struct ev_loop *loop;
static struct mailbox *box;
static struct channels all;
static struct counters counters;
static struct delivery *delivery;
static struct busy_channels busy; // nobody watches
static const struct payload_policy policy;
static char heard[512]; // what the worker got: "a1 b2 gap:a confirmed:a down"

// A frame shows as its channel and the first byte of its data, and a plus where another one of its message follows.
static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)ctx, (void)more;
    char word[64];
    switch ((enum mail_kind)mail->kind) {
    case MAIL_FRAME: {
        const char *data = strstr(mail->frame->wire, "data: ");
        snprintf(word, sizeof word, "%.*s%c%s", mail->frame->channel_len, mail->frame->channel, data[6],
                 mail->is_followed ? "+" : "");
        frame_release(mail->frame);
        break;
    }
    case MAIL_GAP:
    case MAIL_RESUBSCRIBED:
    case MAIL_CONFIRMED:
        snprintf(word, sizeof word, "%s:%.*s",
                 mail->kind == MAIL_GAP         ? "gap"
                 : mail->kind == MAIL_CONFIRMED ? "confirmed"
                                                : "anew",
                 (int)mail->channel->len, mail->channel->name);
        free(mail->channel);
        break;
    case MAIL_PAGE_LOST:
        snprintf(word, sizeof word, "lost:%u", mail->number);
        break;
    case MAIL_UNCONFIRMED:
        snprintf(word, sizeof word, "down");
        break;
    case MAIL_PAGE:
        snprintf(word, sizeof word, "%s:%.*s:%zu", mail->page->page.failed ? "failed" : "page",
                 (int)mail->page->channel->len, mail->page->channel->name, mail->page->page.count);
        page_mail_free(mail->page);
        break;
    default:
        ck_abort_msg("mail of kind %u", mail->kind);
    }
    size_t len = strlen(heard);
    snprintf(heard + len, sizeof heard - len, "%s%s", len ? " " : "", word);
}

static void setup(void)
{
    static struct mailbox *boxes[1];
    log_set_level(LOG_LEVEL_ERROR);
    ck_assert(map_seed());
    loop = ev_loop_new(0);
    ck_assert_ptr_nonnull(loop);
    box = mailbox_create(loop, false, ROOM, &(struct mailbox_hooks){.on_mail = on_mail});
    ck_assert_ptr_nonnull(box);
    boxes[0] = box;
    channels_init(&all);
    counters = (struct counters){0};
    delivery = calloc(1, sizeof *delivery);
    ck_assert_ptr_nonnull(delivery);
    *delivery = (struct delivery){.channels = &all,
                                  .counters = &counters,
                                  .payload = &policy,
                                  .max_message = PAYLOAD,
                                  .busy = &busy,
                                  .workers = boxes,
                                  .worker_count = 1};
    ck_assert_ptr_nonnull(channels_want(&all, 0, (struct channel_ref){"a", 1, map_hash("a", 1)}, 0));
    ck_assert_ptr_nonnull(channels_want(&all, 0, (struct channel_ref){"b", 1, map_hash("b", 1)}, 0));
}

static void teardown(void)
{
    delivery_release(delivery);
    mailbox_destroy(box);
    channels_deinit(&all);
    free(delivery);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static struct channel_ref ref(const char *name)
{
    return channel_ref(name, 1);
}

static struct bus_channel *channel(const char *name)
{
    const struct channel_ref r = ref(name);
    return channels_find(&all, r);
}

// "a1": one message to channel a, of 1s.
static void message(const char *word)
{
    char payload[PAYLOAD];
    memset(payload, word[1], sizeof payload);
    delivery_message(delivery, channel((char[]){word[0], '\0'}), payload, sizeof payload, 0);
}

// The worker's turn: all that is in its mailbox.
static const char *hear(void)
{
    heard[0] = '\0';
    ev_run(loop, EVRUN_NOWAIT);
    return heard;
}

static uint64_t dropped(void)
{
    return counter_read(&counters, COUNTER_DROPPED_BACKLOG);
}

TEST(messages_of_a_turn_arrive_in_order_at_its_end)
{
    message("a1");
    message("b2");
    message("a3");
    ck_assert_str_eq(hear(), "");
    delivery_flush(delivery);
    ck_assert_str_eq(hear(), "a1 b2 a3");
    ck_assert_uint_eq(dropped(), 0);
}

// A message to channel a that holds `count` small events, behind the event with the offset `before`.
static void several(unsigned before, unsigned count)
{
    char payload[8192];
    int len = snprintf(payload, sizeof payload, "\x1eSSE/1\nfirst: 1-%u\n", before);
    for (unsigned i = 1; i < count; i++)
        len += snprintf(payload + len, sizeof payload - (size_t)len, "earlier:  %c\n",
                        'a' + (char)((before + i) % 26));
    len += snprintf(payload + len, sizeof payload - (size_t)len, "durable: 1-%u 1-%u 1\n\nz", before + count,
                    before + count - 1);
    delivery_message(delivery, channel("a"), payload, (size_t)len, 7);
}

TEST(the_events_of_one_message_arrive_together_in_their_order)
{
    message("a1");
    several(1, 4);
    message("b2");
    delivery_flush(delivery);
    ck_assert_str_eq(hear(), "a1 ac+ ad+ ae+ az b2");
}

TEST(the_time_of_a_message_is_noted_with_its_last_event)
{
    several(1, 3);
    const struct outbox *o = &delivery->outboxes[0];
    ck_assert_uint_eq(o->count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(o->mails[i].frame->read_at_ns, i == 2 ? 7 : 0);
}

TEST(a_full_outbox_does_not_go_out_within_a_message_nor_is_it_ever_too_small)
{
    for (unsigned i = 1; i < OUTBOX_MAX; i++)
        several(i, 1);
    several(OUTBOX_MAX, 256);
    ck_assert_uint_eq(delivery->outboxes[0].count, 0);
    several(OUTBOX_MAX + 256, 256);
    several(OUTBOX_MAX + 512, 256);
    ck_assert_uint_eq(delivery->outboxes[0].count, 0);
    ck_assert_uint_gt(dropped(), 0); // the mailbox has no room for so many
}

TEST(an_event_that_is_too_large_is_told_and_the_others_of_its_message_are_not_lost)
{
    static const char payload[] =
        "\x1eSSE/1\nfirst: 1-1\nearlier:  a\nearlier:  0123456789\nearlier:  \xff\ndurable: 1-5 1-4 1\n\nz";
    delivery->max_message = 9;
    delivery_message(delivery, channel("a"), payload, sizeof payload - 1, 0);
    delivery_flush(delivery);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_DROPPED_TOO_LARGE), 1);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_DROPPED_NOT_TEXT), 1);
    ck_assert_str_eq(hear(), "aa+ az gap:a");
}

TEST(what_is_too_large_in_one_message_is_one_loss)
{
    static const char payload[] =
        "\x1eSSE/1\nfirst: 1-1\nearlier:  0123456789\nearlier:  a\nearlier:  0123456789\n"
        "earlier:  b\nearlier:  0123456789\ndurable: 1-7 1-6 1\n\nz";
    delivery->max_message = 9;
    delivery_message(delivery, channel("a"), payload, sizeof payload - 1, 0);
    delivery_flush(delivery);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_DROPPED_TOO_LARGE), 3);
    ck_assert_str_eq(hear(), "aa+ ab+ az gap:a");
    delivery_tell_due(delivery, channel("a"));
    ck_assert_str_eq(hear(), "");
}

TEST(what_has_no_room_is_told_once_for_each_channel_behind_what_got_through)
{
    message("a1");
    message("b2");
    message("a3");
    message("a4");
    message("b5");
    message("a6");
    delivery_flush(delivery);
    ck_assert_uint_eq(dropped(), 3);
    ck_assert_str_eq(hear(), "a1 b2 a3 gap:a gap:b");
}

TEST(a_loss_is_told_before_the_next_message_of_its_channel_and_again_when_there_is_another)
{
    const char *words[] = {"a1", "a2", "a3", "a4", "a5"};
    for (int i = 0; i < 5; i++)
        message(words[i]);
    delivery_flush(delivery);
    message("a6"); // still no room
    delivery_flush(delivery);
    ck_assert_uint_eq(dropped(), 3);
    ck_assert_str_eq(hear(), "a1 a2 a3 gap:a");
    for (int i = 0; i < 5; i++)
        message(words[i]);
    delivery_flush(delivery);
    ck_assert_uint_eq(dropped(), 5);
    // The gap of a6 first: a stream may have come between a5 and a6.
    ck_assert_str_eq(hear(), "gap:a a1 a2 a3 gap:a");
}

// A stream may have come to the channel after the first loss was told.
TEST(a_second_loss_with_nothing_delivered_in_between_is_told_when_it_is_time)
{
    delivery_lost(delivery, COUNTER_DROPPED_TOO_LARGE, channel("a"), 1);
    ck_assert_str_eq(hear(), "gap:a");
    for (int i = 0; i < 3; i++)
        delivery_lost(delivery, COUNTER_DROPPED_TOO_LARGE, channel("a"), 1);
    ck_assert_str_eq(hear(), "");
    ck_assert(delivery->gaps_due);
    delivery_tell_due(delivery, channel("a"));
    ck_assert_str_eq(hear(), "gap:a");
    delivery_tell_due(delivery, channel("a"));
    ck_assert_str_eq(hear(), "");
}

TEST(a_full_outbox_goes_out_within_the_turn)
{
    for (unsigned i = 0; i < OUTBOX_MAX + 10; i++)
        message("a1");
    ck_assert_uint_eq(dropped(), OUTBOX_MAX + 10 - 3);
    ck_assert_str_eq(hear(), "a1 a1 a1 gap:a");
}

TEST(news_of_a_channel_keep_their_place_behind_messages)
{
    message("a1");
    delivery_confirm(delivery, 1, channel("a"), &(struct history_tail){0});
    message("b2");
    delivery_gap(delivery, channel("a"));
    delivery_gap(delivery, channel("a"));
    message("b3");
    delivery_unconfirm(delivery);
    ck_assert_str_eq(hear(), "a1 confirmed:a b2 gap:a b3 down");
}

TEST(losses_found_while_a_gap_is_told_are_told_too)
{
    message("a1");
    message("b2");
    message("a3");
    message("a4"); // lost
    message("b5"); // lost
    delivery_gap(delivery, channel("a"));
    ck_assert_uint_eq(dropped(), 2);
    ck_assert_str_eq(hear(), "a1 b2 a3 gap:a gap:b");
}

TEST(what_is_lost_after_a_new_subscription_is_another_loss)
{
    message("a1");
    message("a2");
    message("a3");
    delivery_gap(delivery, channel("a"));
    delivery_resubscribed(delivery, 1, channel("a"));
    message("a4"); // lost
    delivery_flush(delivery);
    delivery_resubscribed(delivery, 1, channel("a")); // there may be new streams since the last time
    ck_assert_str_eq(hear(), "a1 a2 a3 gap:a anew:a gap:a anew:a");
}

TEST(a_page_of_history_keeps_its_place_and_so_does_the_news_that_there_is_none)
{
    struct sse_event event = {.data = "x", .data_len = 1};
    struct frame *f = frame_create(&event, channel_ref("a", 1)),
                 *frames[] = {frame_retain(f), frame_retain(f)};
    const struct history_page page = {.frames = frames, .count = 2}, failed = {.failed = true};
    message("a1");
    const struct channel_ref a = ref("a"), b = ref("b");
    delivery_page(delivery, 0, a, &page);
    delivery_page(delivery, 0, b, &failed);
    message("a2");
    delivery_flush(delivery);
    ck_assert_str_eq(hear(), "a1 page:a:2 failed:b:0 a2");
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    frame_release(f);
}

// What it missed may have been the news that a page is lost, too.
TEST(a_worker_that_missed_news_is_told_once_that_it_knows_nothing)
{
    delivery->out_of_sync = 1;
    ck_assert(delivery_resync(delivery, 0));
    ck_assert(!delivery_resync(delivery, 0));
    ck_assert_str_eq(hear(), "lost:0 down");
}

TEST(a_message_that_is_no_text_is_counted_and_no_gap)
{
    delivery_message(delivery, channel("a"), "\xff", 1, 0);
    delivery_flush(delivery);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_DROPPED_NOT_TEXT), 1);
    ck_assert_str_eq(hear(), "");
}
