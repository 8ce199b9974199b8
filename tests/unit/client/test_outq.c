#include "gateway/client/outq.h"

#include <string.h>

#include "common/jitter.h"
#include "gateway/fanout/gap.h"
#include "tests/unit/lib/unit_main.h"

#define IOV_MAX_HERE 16

static struct outq_pool pool;
static struct outq *q;

static void teardown(void)
{
    outq_return(&pool, q);
    outq_pool_deinit(&pool);
}

TESTS_WITH(.teardown = teardown);

static struct channel_ref ref_of(uint64_t channel)
{
    return (struct channel_ref){.name = "channel", .len = 7, .hash = channel};
}

// An event of a channel whose number is its hash.
static struct frame *event(uint64_t channel, const char *data)
{
    struct sse_event e = {.data = data, .data_len = strlen(data)};
    struct frame *f = frame_create(&e, ref_of(channel));
    ck_assert_ptr_nonnull(f);
    return f;
}

static void push(const char *data)
{
    ck_assert(outq_push(q, event(1, data)));
}

// All that the queue has to send.
static const char *content(void)
{
    static char text[4096];
    struct iovec iov[IOV_MAX_HERE];
    size_t len = 0;
    int n = outq_gather(q, iov, IOV_MAX_HERE);
    for (int i = 0; i < n; len += iov[i++].iov_len)
        memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
    text[len] = '\0';
    ck_assert_uint_eq(len, q->bytes);
    return text;
}

#define CHUNK(data) "9\r\ndata: " data "\n\n\r\n"

TEST(frames_leave_in_the_order_they_came)
{
    q = outq_borrow(&pool, false);
    ck_assert_str_eq(content(), "");
    push("a"), push("b"), push("c");
    ck_assert_str_eq(content(), CHUNK("a") CHUNK("b") CHUNK("c"));
}

TEST(http_1_0_gets_no_chunk_framing)
{
    q = outq_borrow(&pool, true);
    push("a"), push("b");
    ck_assert_str_eq(content(), "data: a\n\ndata: b\n\n");
    outq_consume(q, 9 + 5);
    ck_assert_str_eq(content(), " b\n\n");
}

TEST(what_the_socket_took_is_not_sent_again)
{
    const char *all = CHUNK("a") CHUNK("b") CHUNK("c");
    for (size_t first = 0; first <= strlen(all); first++) {
        for (size_t second = 0; second <= strlen(all) - first; second += 7) {
            q = outq_borrow(&pool, false);
            push("a"), push("b"), push("c");
            outq_consume(q, first);
            outq_consume(q, second);
            if (strcmp(content(), all + first + second) != 0)
                ck_abort_msg("after %zu and %zu: %s", first, second, content());
            ck_assert_uint_eq(q->taken, first + second);
            outq_return(&pool, q);
        }
    }
    q = NULL;
}

// Between two plain ones, an event whose id is the stream's own: it leaves in two pieces.
static void push_with_id(void)
{
    struct frame *shared = event(1, "b");
    push("a");
    ck_assert(outq_push(q, frame_with_id(shared, "7", 1)));
    push("c");
    frame_release(shared);
}

TEST_LOOP(what_the_socket_took_of_an_event_in_two_pieces_is_not_sent_again, 0, 2)
{
    static const char *const all[] = {CHUNK("a") "f\r\nid: 7\ndata: b\n\n\r\n" CHUNK("c"),
                                      "data: a\n\nid: 7\ndata: b\n\ndata: c\n\n"};
    const char *text = all[_i];
    for (size_t first = 0; first <= strlen(text); first++) {
        for (size_t second = 0; second <= strlen(text) - first; second++) {
            q = outq_borrow(&pool, _i == 1);
            push_with_id();
            outq_consume(q, first);
            outq_consume(q, second);
            if (strcmp(content(), text + first + second) != 0)
                ck_abort_msg("after %zu and %zu: %s", first, second, content());
            outq_return(&pool, q);
        }
    }
    q = NULL;
}

TEST(both_pieces_of_an_event_are_gathered_or_none)
{
    struct iovec iov[4];
    q = outq_borrow(&pool, false);
    push_with_id();
    ck_assert_int_eq(outq_gather(q, iov, 2), 1);
    ck_assert_int_eq(outq_gather(q, iov, 3), 3);
    ck_assert_int_eq(outq_gather(q, iov, 4), 4);
}

TEST(no_more_pieces_are_gathered_than_there_is_room_for)
{
    struct iovec iov[2];
    q = outq_borrow(&pool, false);
    push("a"), push("b"), push("c");
    ck_assert_int_eq(outq_gather(q, iov, 2), 2);
    ck_assert_int_eq(outq_gather(q, iov, 1), 1);
    ck_assert_int_eq(outq_gather(q, iov, 0), 0);
}

TEST(a_frame_is_released_when_its_last_byte_is_taken)
{
    struct frame *f = event(1, "a");
    q = outq_borrow(&pool, false);
    ck_assert(outq_push(q, frame_retain(f)));
    outq_consume(q, f->wire_len - 1);
    ck_assert_uint_eq(atomic_load(&f->refs), 2);
    outq_consume(q, 1);
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    ck_assert(outq_push(q, frame_retain(f)));
    outq_return(&pool, q); // with the queue, too
    q = NULL;
    ck_assert_uint_eq(atomic_load(&f->refs), 1);
    frame_release(f);
}

TEST(dropping_keeps_the_rest_of_the_event_on_its_way)
{
    q = outq_borrow(&pool, false);
    push("a"), push("b"), push("c");
    outq_consume(q, 1);
    ck_assert_uint_eq(outq_drop_unstarted(q), 2);
    ck_assert_str_eq(content(), "\r\ndata: a\n\n\r\n");
    ck_assert_uint_eq(outq_drop_unstarted(q), 0);
}

TEST(dropping_before_anything_was_sent_leaves_nothing)
{
    q = outq_borrow(&pool, false);
    push("a"), push("b");
    ck_assert_uint_eq(outq_drop_unstarted(q), 2);
    ck_assert_str_eq(content(), "");
    push("c");
    ck_assert_str_eq(content(), CHUNK("c"));
}

TEST(the_oldest_event_that_may_go_is_not_on_its_way_and_no_gap)
{
    q = outq_borrow(&pool, false);
    ck_assert_ptr_null(outq_take_oldest(q));
    push("a"), push("b"), push("c");
    outq_consume(q, 1);
    ck_assert(outq_insert_first(q, gap_frame(ref_of(1))));
    struct frame *b = outq_take_oldest(q), *c = outq_take_oldest(q);
    ck_assert_mem_eq(b->wire, CHUNK("b"), b->wire_len);
    ck_assert_mem_eq(c->wire, CHUNK("c"), c->wire_len);
    ck_assert_ptr_null(outq_take_oldest(q));
    ck_assert_uint_eq(q->count, 2);
    // Nor is it what belongs to no channel.
    ck_assert(outq_push(q, frame_from_bytes(":\n", 2, true)));
    ck_assert_ptr_null(outq_take_oldest(q));
    ck_assert_ptr_nonnull(strstr(content(), "gateway:gap"));
    frame_release(b);
    frame_release(c);
}

static struct frame *end_of(uint64_t channel)
{
    struct frame *f = event(channel, "e");
    f->is_end = true;
    return f;
}

static void take_oldest(const char *chunk)
{
    struct frame *f = outq_take_oldest(q);
    ck_assert_ptr_nonnull(f);
    ck_assert_mem_eq(f->wire, chunk, f->wire_len);
    frame_release(f);
}

TEST(the_end_of_a_channel_stays_when_events_go)
{
    q = outq_borrow(&pool, false);
    push("a");
    ck_assert(outq_push(q, end_of(1)));
    ck_assert(outq_push(q, event(2, "b")));
    take_oldest(CHUNK("a"));
    take_oldest(CHUNK("b"));
    ck_assert_ptr_null(outq_take_oldest(q));
    ck_assert_str_eq(content(), CHUNK("e"));
}

TEST(the_end_of_a_channel_goes_with_an_event_behind_it)
{
    struct frame *end = end_of(1);
    q = outq_borrow(&pool, false);
    ck_assert(outq_push(q, frame_retain(end)));
    ck_assert(outq_push(q, frame_retain(end)));
    ck_assert(outq_push(q, frame_retain(end)));
    ck_assert(outq_push(q, end_of(2)));
    push("a"), push("b");
    outq_consume(q, 1); // one that is on its way stays
    take_oldest(CHUNK("a"));
    ck_assert_uint_eq(atomic_load(&end->refs), 2);
    ck_assert_str_eq(content(), "\r\ndata: e\n\n\r\n" CHUNK("e") CHUNK("b"));
    ck_assert(outq_push(q, end_of(1)));
    take_oldest(CHUNK("b"));
    ck_assert_str_eq(content(), "\r\ndata: e\n\n\r\n" CHUNK("e") CHUNK("e"));
    frame_release(end);
}

TEST(what_is_put_first_comes_right_behind_the_event_on_its_way)
{
    q = outq_borrow(&pool, false);
    push("b");
    ck_assert(outq_insert_first(q, event(1, "a")));
    ck_assert_str_eq(content(), CHUNK("a") CHUNK("b"));
    outq_consume(q, 3);
    ck_assert(outq_insert_first(q, event(1, "x")));
    ck_assert_str_eq(content(), "data: a\n\n\r\n" CHUNK("x") CHUNK("b"));
    outq_consume(q, q->bytes);
    ck_assert(outq_insert_first(q, event(1, "y")));
    ck_assert_str_eq(content(), CHUNK("y"));
}

TEST(a_gap_is_known_by_its_channel_while_it_waits)
{
    struct frame *one = event(1, "x"), *two = event(2, "x");
    q = outq_borrow(&pool, false);
    ck_assert(!outq_has_gap(q, one));
    push("a"), push("b");
    ck_assert(!outq_has_gap(q, one));
    outq_consume(q, 1);
    ck_assert(outq_insert_first(q, gap_frame(ref_of(1))));
    ck_assert(outq_has_gap(q, one));
    ck_assert(!outq_has_gap(q, two));
    ck_assert(outq_insert_first(q, gap_frame(ref_of(2))));
    ck_assert(outq_has_gap(q, one) && outq_has_gap(q, two));
    // One that stands behind an event says nothing of what is lost before that.
    outq_return(&pool, q);
    q = outq_borrow(&pool, false);
    push("a");
    ck_assert(outq_push(q, gap_frame(ref_of(1))));
    ck_assert(!outq_has_gap(q, one));
    frame_release(one);
    frame_release(two);
}

TEST(what_waits_is_all_but_the_frame_on_its_way)
{
    q = outq_borrow(&pool, false);
    size_t chunk = strlen(CHUNK("a"));
    ck_assert_uint_eq(outq_waiting_bytes(q), 0);
    push("a");
    ck_assert_uint_eq(outq_waiting_bytes(q), 0);
    push("b"), push("c");
    ck_assert_uint_eq(outq_waiting_bytes(q), 2 * chunk);
    outq_consume(q, 4);
    ck_assert_uint_eq(outq_waiting_bytes(q), 2 * chunk);
    outq_consume(q, chunk - 4);
    ck_assert_uint_eq(outq_waiting_bytes(q), chunk);
}

TEST(a_queue_that_was_returned_is_lent_again_and_empty)
{
    q = outq_borrow(&pool, true);
    for (int i = 0; i < 100; i++) // more than fit inside
        push("a");
    outq_consume(q, 1);
    struct outq *first = q;
    outq_return(&pool, q);
    ck_assert_uint_eq(pool.free_count, 1);
    q = outq_borrow(&pool, false);
    ck_assert_ptr_eq(q, first);
    ck_assert_uint_eq(pool.free_count, 0);
    ck_assert_uint_eq(pool.lent, 1);
    ck_assert_str_eq(content(), "");
    ck_assert(!q->watched && q->taken == 0);
    push("b");
    ck_assert_str_eq(content(), CHUNK("b"));
    outq_return(&pool, NULL); // no effect
    ck_assert_uint_eq(pool.free_count, 0);
}

TEST(the_pool_gives_back_what_a_burst_has_left)
{
    enum { BURST = 1000 };
    struct outq *queues[BURST];
    for (int i = 0; i < BURST; i++)
        queues[i] = outq_borrow(&pool, false);
    for (int i = 0; i < BURST; i++)
        outq_return(&pool, queues[i]);
    ck_assert_uint_eq(pool.free_count, BURST);
    outq_pool_trim(&pool);
    ck_assert_uint_gt(pool.free_count, BURST / 2); // a part each time
    for (int i = 0; i < 1000; i++)
        outq_pool_trim(&pool);
    ck_assert_uint_gt(pool.free_count, 0);
    ck_assert_uint_le(pool.free_count, 64);
    ck_assert_uint_eq(pool.lent, 0);
}

// The model: frames in an array, of which `sent` bytes of the first are gone.
enum { MODEL_MAX = 400, MODEL_IOV = MODEL_MAX * FRAME_PIECES, CHANNELS = 3 };
static struct frame *model[MODEL_MAX];
static size_t model_count, model_sent;
static uint64_t random_state;

static size_t random_below(size_t n)
{
    return jitter_next(&random_state) % n;
}

static void model_insert(size_t at, struct frame *f)
{
    memmove(model + at + 1, model + at, (model_count++ - at) * sizeof *model);
    model[at] = frame_retain(f);
}

static void model_remove(size_t at)
{
    frame_release(model[at]);
    memmove(model + at, model + at + 1, (--model_count - at) * sizeof *model);
}

static size_t size_of(const struct frame *f)
{
    return frame_size(f, q->body_only);
}

static void check_as_model(void)
{
    struct iovec iov[MODEL_IOV];
    size_t bytes = 0, first = model_count > 0 ? size_of(model[0]) - model_sent : 0, skip = model_sent;
    int n = outq_gather(q, iov, MODEL_IOV), k = 0;
    bool same = true;
    for (size_t i = 0; same && i < model_count; i++) {
        struct iovec pieces[FRAME_PIECES];
        int count = frame_pieces(model[i], q->body_only, pieces);
        for (int p = 0; p < count && same; p++, k++) {
            size_t gone = skip < pieces[p].iov_len ? skip : pieces[p].iov_len;
            same = k < n && iov[k].iov_base == (char *)pieces[p].iov_base + gone &&
                   iov[k].iov_len == pieces[p].iov_len - gone;
            skip -= gone;
            bytes += pieces[p].iov_len - gone;
        }
    }
    same = same && k == n;
    if (!same || q->bytes != bytes || outq_waiting_bytes(q) != bytes - first)
        ck_abort_msg("not as the model: %u frames, %zu bytes", q->count, q->bytes);
}

static void random_push(void)
{
    static char data[300];
    size_t len = random_below(sizeof data - 1);
    memset(data, 'a', len);
    data[len] = '\0';
    struct frame *f =
        random_below(10) == 0 ? frame_from_bytes(":\n", 2, true) : event(random_below(CHANNELS), data);
    f->is_end = f->channel_len > 0 && random_below(10) == 0;
    if (f->channel_len > 0 && random_below(3) == 0) {
        struct frame *own = frame_with_id(f, "cursor", 6);
        frame_release(f);
        f = own;
    }
    model_insert(model_count, f);
    if (!outq_push(q, f))
        ck_abort_msg("out of memory");
}

static void random_consume(void)
{
    size_t n = random_below(q->bytes + 1);
    if (random_below(2))
        n = n % 600;
    outq_consume(q, n);
    for (n += model_sent; model_count > 0 && n >= size_of(model[0]); model_remove(0))
        n -= size_of(model[0]);
    model_sent = n;
}

static void random_take_oldest(void)
{
    size_t begin = model_sent > 0 ? 1 : 0, i = begin;
    while (i < model_count && (model[i]->is_gap || model[i]->is_end || model[i]->channel_len == 0))
        i++;
    struct frame *f = outq_take_oldest(q);
    if (f != (i < model_count ? model[i] : NULL))
        ck_abort_msg("not the oldest");
    if (!f)
        return;
    bool known = false;
    for (size_t g = 0; g < model_count && (model[g]->is_gap || (g == 0 && model_sent > 0)); g++)
        known |= model[g]->is_gap && model[g]->channel_hash == f->channel_hash;
    model_remove(i);
    while (i-- > begin)
        if (model[i]->is_end && model[i]->channel_hash == f->channel_hash)
            model_remove(i);
    if (outq_has_gap(q, f) != known)
        ck_abort_msg("a gap that is %sthere", known ? "" : "not ");
    if (!known) {
        struct frame *gap = gap_frame(ref_of(f->channel_hash));
        model_insert(model_sent > 0 ? 1 : 0, gap);
        if (!outq_insert_first(q, gap))
            ck_abort_msg("out of memory");
    }
    frame_release(f);
}

TEST_LOOP(behaves_as_an_array_of_frames, 0, 4)
{
    random_state = 77 + (uint64_t)_i;
    q = outq_borrow(&pool, _i % 2);
    for (int step = 0; step < 20000; step++) {
        size_t dice = random_below(100);
        // Full and empty in turns.
        if (dice < (step / 1000 % 2 ? 30u : 65u) && model_count < MODEL_MAX - 2)
            random_push();
        else if (dice < 80)
            random_consume();
        else if (dice < 99)
            random_take_oldest();
        else {
            size_t keep = model_sent > 0 ? 1 : 0, dropped = model_count > keep ? model_count - keep : 0;
            if (outq_drop_unstarted(q) != dropped)
                ck_abort_msg("dropped another number than %zu", dropped);
            while (model_count > keep)
                model_remove(model_count - 1);
        }
        check_as_model();
    }
    while (model_count > 0)
        model_remove(model_count - 1);
}
