// Meant for ThreadSanitizer, too: what one thread has written another reads after nothing but a post.
#include "gateway/threads/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jitter.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

enum { POSTERS = 3, FRAME = 100 };

static struct ev_loop *loop;
static struct mailbox *box;
static _Atomic int writes_to_fail;

// In the place of the C library's, for the mailbox, too.
ssize_t write(int fd, const void *at, size_t len)
{
    if (writes_to_fail > 0 && len == sizeof(uint64_t)) {
        writes_to_fail--;
        errno = EIO;
        return -1;
    }
    return syscall(SYS_write, fd, at, len);
}

// What was received, and how.
static size_t received, frames, batches, most_in_a_turn;
static uint64_t next_of[POSTERS]; // the number that is expected from each poster
static bool batch_is_open;
static void (*then)(const struct mail *mail);

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)more;
    static unsigned turn;
    static size_t in_turn;
    if (ctx != &box)
        ck_abort_msg("not the context that was given");
    in_turn = ev_iteration(loop) == turn ? in_turn + 1 : 1;
    turn = ev_iteration(loop);
    if (in_turn > most_in_a_turn)
        most_in_a_turn = in_turn;
    received++;
    batch_is_open = true;
    if (then)
        then(mail);
    if (mail->kind == MAIL_FRAME) {
        frames++;
        frame_release(mail->frame);
    } else if (mail->kind == MAIL_CONFIRMED || mail->kind == MAIL_WANTED) {
        if (mail->channel->hash != next_of[mail->from]++)
            ck_abort_msg("poster %u: %zu came out of order", mail->from, (size_t)mail->channel->hash);
        free(mail->channel);
    }
}

static void on_batch_end(void *ctx, uint64_t begun_ns)
{
    (void)begun_ns;
    (void)ctx;
    ck_assert(batch_is_open);
    batch_is_open = false;
    batches++;
}

enum { SHARED, LOCAL, KINDS };

// Each promise holds for both kinds of box.
static void create(int kind, size_t frame_limit)
{
    const struct mailbox_hooks hooks = {.on_mail = on_mail, .on_batch_end = on_batch_end, .ctx = &box};
    box = mailbox_create(loop, kind == LOCAL, frame_limit, &hooks);
    ck_assert_ptr_nonnull(box);
}

static void on_looking(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l, (void)w, (void)events;
}

static void setup(void)
{
    static ev_timer looking; // what a local box delivers wakes no loop
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    ev_timer_init(&looking, on_looking, 0.005, 0.005);
    ev_timer_start(loop, &looking);
}

static void teardown(void)
{
    mailbox_destroy(box);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static struct frame *frame(size_t bytes)
{
    static const char zeros[100 * FRAME];
    struct frame *f = frame_from_bytes(zeros, bytes, false);
    ck_assert_ptr_nonnull(f);
    return f;
}

static bool post_frame(struct frame *f)
{
    struct mail mail = {.kind = MAIL_FRAME, .frame = f};
    return mailbox_post(box, &mail);
}

static bool post_plain(void)
{
    struct mail mail = {.kind = MAIL_UNCONFIRMED};
    return mailbox_post(box, &mail);
}

static struct channel_mail *channel(uint64_t number)
{
    return channel_mail_create((struct channel_ref){.name = "name", .len = 4, .hash = number});
}

static struct mail numbered(enum mail_kind kind, uint16_t from, uint64_t number)
{
    struct mail mail = {.kind = (uint16_t)kind, .from = from, .channel = channel(number)};
    if (!mail.channel)
        ck_abort_msg("out of memory");
    return mail;
}

static bool has_received(void *ctx)
{
    return received >= *(size_t *)ctx;
}

static void receive(size_t count)
{
    loop_wait(loop, has_received, &count);
    ck_assert_uint_eq(received, count);
}

TEST_LOOP(mail_comes_in_the_order_it_was_posted_and_the_last_of_a_batch_is_told, 0, KINDS)
{
    create(_i, 1000);
    for (uint64_t i = 0; i < 3; i++) {
        struct mail mail = numbered(MAIL_CONFIRMED, 0, i);
        ck_assert(mailbox_post(box, &mail));
    }
    receive(3);
    ck_assert_uint_eq(batches, 1);
    ck_assert(!batch_is_open);
    ck_assert(post_plain());
    receive(4);
    ck_assert_uint_eq(batches, 2);
}

TEST_LOOP(frames_wait_up_to_the_limit_and_not_a_byte_more, 0, KINDS)
{
    create(_i, 3 * FRAME);
    struct frame *refused = frame(1);
    for (int i = 0; i < 3; i++)
        ck_assert(post_frame(frame(FRAME)));
    ck_assert(!post_frame(refused));
    ck_assert_uint_eq(atomic_load(&refused->refs), 1); // still ours
    ck_assert(post_plain());                           // what is no frame is not held back
    receive(4);
    for (int i = 0; i < 3; i++)
        ck_assert(post_frame(frame(FRAME)));
    ck_assert(!post_frame(refused));
    receive(7);
    frame_release(refused);
}

TEST_LOOP(a_frame_counts_until_it_is_handed_over, 0, KINDS)
{
    enum { LIMIT = 600 };
    size_t room = 0;
    create(_i, LIMIT * FRAME);
    for (int i = 0; i < LIMIT; i++)
        ck_assert(post_frame(frame(FRAME)));
    while (received == 0)
        ev_run(loop, EVRUN_ONCE); // a part of the batch is worked off
    ck_assert_uint_lt(received, LIMIT);
    struct frame *f = frame(FRAME);
    while (post_frame(frame_retain(f)))
        room++;
    frame_release(f);
    ck_assert_uint_eq(room, received);
    frame_release(f);
}

// Posts until the receiver was asleep once, and was not woken.
static void *post_until_one_is_lost(void *arg)
{
    _Atomic size_t *posted = arg;
    size_t count = 0;
    for (; writes_to_fail > 0; count++)
        if (!post_plain())
            ck_abort_msg("refused");
    atomic_store(posted, count);
    return NULL;
}

static bool has_received_all(void *ctx)
{
    const _Atomic size_t *posted = ctx;
    return received >= atomic_load(posted);
}

// A wake-up that was lost (its write failed) must not stop a thread for ever.
TEST(mail_whose_wake_up_was_lost_is_received_all_the_same)
{
    _Atomic size_t posted = SIZE_MAX;
    pthread_t thread;
    create(SHARED, 1000);
    writes_to_fail = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, post_until_one_is_lost, &posted), 0);
    loop_wait(loop, has_received_all, &posted);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(received, posted);
}

static void look_at_order(const struct mail *mail)
{
    (void)mail;
    ck_assert_uint_eq(received, 1);
}

// A worker that asks the bus from within the hub must not be called back by the answer.
TEST_LOOP(posting_never_delivers_at_once, 0, KINDS)
{
    create(_i, 1000);
    ck_assert(post_plain());
    ck_assert_uint_eq(received, 0);
    then = look_at_order;
    receive(1);
    then = NULL;
}

TEST_LOOP(a_frame_above_the_limit_passes_where_no_other_waits, 0, KINDS)
{
    struct frame *refused = frame(FRAME);
    create(_i, 10);
    ck_assert(post_plain());
    ck_assert(post_frame(frame(FRAME)));
    ck_assert(!post_frame(refused));
    receive(2);
    ck_assert(post_frame(refused));
    receive(3);
}

TEST_LOOP(posting_many_stops_at_the_first_that_is_refused, 0, KINDS)
{
    struct mail mails[] = {{.kind = MAIL_FRAME, .frame = frame(FRAME)},
                           {.kind = MAIL_UNCONFIRMED},
                           {.kind = MAIL_FRAME, .frame = frame(2 * FRAME)},
                           {.kind = MAIL_FRAME, .frame = frame(1)},
                           {.kind = MAIL_UNCONFIRMED}};
    create(_i, 2 * FRAME);
    ck_assert_uint_eq(mailbox_post_all(box, mails, 5), 2);
    receive(2);
    ck_assert_uint_eq(mailbox_post_all(box, mails + 2, 3), 1);
    receive(3);
    ck_assert_uint_eq(mailbox_post_all(box, mails + 3, 2), 2);
    receive(5);
    ck_assert_uint_eq(mailbox_post_all(box, mails, 0), 0);
}

TEST_LOOP(a_storm_of_new_channels_is_refused_before_it_piles_up, 0, KINDS)
{
    create(_i, 1000);
    size_t taken = 0;
    struct mail mail;
    while (mail = numbered(MAIL_WANTED, 0, taken), mailbox_post(box, &mail))
        if (++taken > 1000000)
            ck_abort_msg("it piles up");
    free(mail.channel);
    ck_assert_uint_ge(taken, 10000);
    ck_assert(post_plain());
    receive(taken + 1);
    mail = numbered(MAIL_WANTED, 0, taken);
    ck_assert(mailbox_post(box, &mail));
    receive(taken + 2);
}

TEST_LOOP(a_flood_leaves_the_loop_its_turns, 0, KINDS)
{
    enum { COUNT = 5000 };
    create(_i, 1000);
    for (int i = 0; i < COUNT; i++)
        if (!post_plain())
            ck_abort_msg("refused");
    receive(COUNT);
    ck_assert_uint_le(most_in_a_turn, 256);
    ck_assert_uint_ge(batches, COUNT / 256);
    ck_assert(!batch_is_open);
}

static void take_long(const struct mail *mail)
{
    uint64_t until_ns = clock_monotonic_ns() + 1000000;
    while (mail->kind == MAIL_FRAME && clock_monotonic_ns() < until_ns)
        continue;
}

// Else a stream would get them in two writes.
TEST_LOOP(the_frames_of_one_message_are_handed_over_in_one_turn, 0, KINDS)
{
    enum { PLAIN = 250, FRAMES = 20 };
    create(_i, 100 * FRAME);
    for (int i = 0; i < PLAIN; i++)
        ck_assert(post_plain());
    struct mail mails[FRAMES];
    for (int i = 0; i < FRAMES; i++)
        mails[i] = (struct mail){.kind = MAIL_FRAME, .is_followed = i + 1 < FRAMES, .frame = frame(1)};
    ck_assert_uint_eq(mailbox_post_all(box, mails, FRAMES), FRAMES);
    ck_assert(post_plain());
    then = take_long; // longer than a turn of a local box
    receive(PLAIN + FRAMES + 1);
    then = NULL;
    ck_assert_uint_eq(most_in_a_turn, PLAIN + FRAMES);
    ck_assert_uint_eq(batches, 2);
}

static void post_one_more(const struct mail *mail)
{
    (void)mail;
    if (received < 3000 && !post_plain())
        ck_abort_msg("refused");
}

// Who posts wakes a receiver that waits, so what comes while the receiver is at work is its own to see.
TEST_LOOP(mail_that_is_posted_while_others_are_worked_on_is_not_left_behind, 0, KINDS)
{
    create(_i, 1000);
    then = post_one_more;
    ck_assert(post_plain());
    receive(3000);
    received = 0;
    for (int i = 0; i < 1000; i++) // more than a turn's, so that some come between two turns of one batch
        ck_assert(post_plain());
    receive(3999);
}

// Else messages that Redis sends during a fan-out would follow it without end, and the loop never looked at
// its sockets.
TEST_LOOP(mail_that_is_posted_while_others_are_worked_on_waits_for_the_next_turn, 0, KINDS)
{
    create(_i, 1000);
    then = post_one_more;
    ck_assert(post_plain());
    receive(3000);
    ck_assert_uint_eq(most_in_a_turn, 1);
}

TEST_LOOP(what_was_not_received_is_freed_with_the_box, 0, KINDS)
{
    enum { COUNT = 600 };
    struct frame *f = frame(1);
    create(_i, SIZE_MAX);
    for (int i = 0; i < COUNT; i++) {
        struct mail mail = numbered(MAIL_CONFIRMED, 0, (uint64_t)i);
        ck_assert(post_frame(frame_retain(f)));
        ck_assert(mailbox_post(box, &mail));
    }
    ev_run(loop, EVRUN_ONCE); // a part of them is worked off
    ck_assert_uint_gt(received, 0);
    ck_assert_uint_lt(received, 2 * COUNT);
    ck_assert(post_frame(frame_retain(f)));
    mailbox_destroy(box);
    box = NULL;
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    frame_release(f);
}

// What a page or a question refers to belongs to the mail, until it is received or refused.
TEST_LOOP(pages_and_questions_that_were_not_received_are_freed_with_the_box, 0, KINDS)
{
    struct frame *f = frame(1);
    create(_i, SIZE_MAX);
    for (uint64_t i = 0; i < 3; i++) {
        struct page_mail *page = malloc(sizeof *page + 2 * sizeof *page->frames);
        *page = (struct page_mail){.channel = channel(i), .page = {.frames = page->frames, .count = 2}};
        page->frames[0] = frame_retain(f);
        page->frames[1] = frame_retain(f);
        struct mail mail = {.kind = MAIL_PAGE, .page = page};
        struct mail question = numbered(MAIL_HISTORY, 0, i);
        ck_assert(mailbox_post(box, &mail));
        ck_assert(mailbox_post(box, &question));
    }
    ck_assert_uint_eq(atomic_load(&f->refs), 7);
    mailbox_destroy(box);
    box = NULL;
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    frame_release(f);
}

TEST(a_name_is_a_copy)
{
    char text[] = "user:42";
    struct channel_mail *name = channel_mail_create((struct channel_ref){text, 7, 99});
    memset(text, '!', 7);
    ck_assert_uint_eq(name->hash, 99);
    ck_assert_uint_eq(name->len, 7);
    ck_assert_mem_eq(name->name, "user:42", 7);
    free(name);
}

enum { PER_POSTER = 30000, TOTAL = POSTERS * PER_POSTER };

// One by one, or several at once; a frame now and then, which may be refused.
static void *poster(void *arg)
{
    uint16_t from = *(uint16_t *)arg;
    uint64_t random = from + 1u, number = 0;
    while (number < PER_POSTER) {
        struct mail mails[40];
        size_t count = 1 + jitter_next(&random) % 40;
        if (jitter_next(&random) % 4 == 0) {
            struct frame *f = frame_from_bytes("x", 1, true);
            if (!post_frame(f))
                frame_release(f);
        }
        if (count > PER_POSTER - number)
            count = PER_POSTER - number;
        for (size_t i = 0; i < count; i++)
            mails[i] = numbered(MAIL_CONFIRMED, from, number++);
        if (mailbox_post_all(box, mails, count) != count)
            ck_abort_msg("refused");
        if (jitter_next(&random) % 8 == 0)
            sched_yield(); // so that the box is found empty, too
    }
    return NULL;
}

static bool has_all(void *ctx)
{
    (void)ctx;
    return received - frames == TOTAL;
}

TEST(threads_post_at_once_and_each_ones_mail_stays_in_order)
{
    pthread_t threads[POSTERS];
    uint16_t numbers[POSTERS];
    create(SHARED, 200);
    for (uint16_t i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, poster, &numbers[i]), 0);
    }
    loop_wait(loop, has_all, NULL);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(next_of[i], PER_POSTER);
    }
    ck_assert(!batch_is_open);
}
