#include "gateway/fanout/frame.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"
#include "tests/unit/lib/unit_main.h"

#define NEWS ((struct channel_ref){.name = "news", .len = 4, .hash = 42})

static struct sse_event data_event(const char *data, size_t len)
{
    return (struct sse_event){.data = data, .data_len = len};
}

static void check_body(const struct frame *f, const char *body)
{
    ck_assert_uint_eq(f->body_len, strlen(body));
    ck_assert_mem_eq(f->wire + f->body_at, body, f->body_len);
}

TEST(an_event_is_one_chunk)
{
    struct sse_event event = data_event("hello", 5);
    struct frame *f = frame_create(&event, NEWS);
    static const char wire[] = "d\r\ndata: hello\n\n\r\n";
    ck_assert_uint_eq(f->wire_len, strlen(wire));
    ck_assert_mem_eq(f->wire, wire, f->wire_len);
    check_body(f, "data: hello\n\n");
    frame_release(f);
}

// The chunk's head announces exactly the bytes between it and the tail, whatever its number of digits.
TEST(the_head_of_the_chunk_tells_its_length)
{
    static const size_t sizes[] = {0, 1, 7, 8, 247, 248, 4087, 4088, 65527, 65528, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *data = malloc(sizes[i] + 1), *end;
        memset(data, 'x', sizes[i]);
        struct sse_event event = data_event(data, sizes[i]);
        struct frame *f = frame_create(&event, NO_CHANNEL);
        ck_assert_uint_eq(strtoul(f->wire, &end, 16), f->body_len);
        ck_assert_int_eq(memcmp(end, "\r\n", 2), 0);
        ck_assert_ptr_eq(end + 2, f->wire + f->body_at);
        ck_assert_uint_eq(f->body_at + f->body_len + 2, f->wire_len);
        ck_assert_mem_eq(f->wire + f->wire_len - 4, "\n\n\r\n", 4);
        ck_assert_uint_eq(f->body_len, sizes[i] + strlen("data: \n\n"));
        frame_release(f);
        free(data);
    }
}

TEST(the_channel_is_a_copy)
{
    char channel[] = "user:42", data[] = "x";
    struct sse_event event = data_event(data, 1);
    struct frame *f = frame_create(&event, (struct channel_ref){channel, strlen(channel), 4711});
    memset(channel, '!', strlen(channel));
    *data = '!';
    ck_assert_uint_eq(f->channel_hash, 4711);
    ck_assert_uint_eq(f->channel_len, 7);
    ck_assert_mem_eq(f->channel, "user:42", 7);
    check_body(f, "data: x\n\n");
    frame_release(f);
}

TEST(bytes_are_taken_as_they_are)
{
    struct frame *chunked = frame_from_bytes(":\n", 2, true), *plain = frame_from_bytes(":\n", 2, false);
    ck_assert_uint_eq(chunked->wire_len, 7);
    ck_assert_mem_eq(chunked->wire, "2\r\n:\n\r\n", 7);
    check_body(chunked, ":\n");
    ck_assert_uint_eq(plain->wire_len, 2);
    check_body(plain, ":\n");
    ck_assert_uint_eq(chunked->channel_len, 0);
    ck_assert_uint_eq(plain->channel_len, 0);
    frame_release(chunked);
    frame_release(plain);
}

TEST(too_large_an_event_is_refused)
{
    static const char byte = 'x';
    ck_assert_ptr_null(frame_from_bytes(&byte, UINT32_MAX, true));
    ck_assert_ptr_null(frame_from_bytes(&byte, (size_t)UINT32_MAX + 5, true));
}

TEST(releasing_nothing_is_fine)
{
    frame_release(NULL);
}

static size_t join_pieces(const struct frame *f, bool body_only, char *out)
{
    struct iovec pieces[FRAME_PIECES];
    size_t len = 0;
    int n = frame_pieces(f, body_only, pieces);
    for (int i = 0; i < n; len += pieces[i++].iov_len)
        memcpy(out + len, pieces[i].iov_base, pieces[i].iov_len);
    return len;
}

static struct frame *event_with(const char *id, size_t data_len)
{
    static char data[70000];
    memset(data, 'x', data_len);
    struct sse_event event = {
        .id = id, .id_len = id ? strlen(id) : 0, .event = "order", .event_len = 5, .data = data};
    event.data_len = data_len;
    struct frame *f = frame_create(&event, NEWS);
    ck_assert_ptr_nonnull(f);
    return f;
}

// Whatever the lengths, what leaves in two pieces is what one frame with that id would be.
static void check_another_id(const char *before, const char *after, size_t data_len)
{
    static char is[80000], should[80000];
    struct frame *shared = event_with(before, data_len), *whole = event_with(after, data_len);
    struct frame *f = frame_with_id(shared, after, strlen(after));
    for (int body_only = 0; body_only <= 1; body_only++) {
        size_t len = join_pieces(whole, body_only, should);
        ck_assert_uint_eq(join_pieces(f, body_only, is), len);
        ck_assert_uint_eq(frame_size(f, body_only), len);
        ck_assert_uint_eq(frame_size(whole, body_only), len);
        ck_assert(memcmp(is, should, len) == 0);
    }
    ck_assert_uint_eq(f->body_len, whole->body_len);
    ck_assert_uint_eq(f->id_line_len, whole->id_line_len);
    frame_release(shared); // f holds it
    ck_assert_uint_eq(join_pieces(f, false, is), join_pieces(whole, false, should));
    frame_release(f);
    frame_release(whole);
}

TEST(a_frame_with_another_id_is_as_if_it_had_been_made_with_it)
{
    char longest[1025];
    memset(longest, 'i', 1024);
    longest[1024] = '\0';
    static const size_t sizes[] = {0, 1, 100, 200, 230, 240, 250, 3000, 4060, 65000, 65500};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_another_id("7", "8", sizes[i]);
        check_another_id("7", longest, sizes[i]);
        check_another_id(longest, "7", sizes[i]);
        check_another_id(NULL, "cursor", sizes[i]);
    }
}

static void check_source(struct frame *shared, const char *id, const char *lines, const char *rest)
{
    char is[4000], should[4000];
    struct frame *f = frame_with_source(shared, id, id ? strlen(id) : 0);
    for (int body_only = 0; body_only <= 1; body_only++) {
        size_t body = strlen(lines) + strlen(rest);
        int len = body_only ? snprintf(should, sizeof should, "%s%s", lines, rest)
                            : snprintf(should, sizeof should, "%zx\r\n%s%s\r\n", body, lines, rest);
        ck_assert_uint_eq(join_pieces(f, body_only, is), (size_t)len);
        ck_assert_uint_eq(frame_size(f, body_only), (size_t)len);
        ck_assert_mem_eq(is, should, (size_t)len);
    }
    frame_release(f);
}

TEST(a_frame_with_its_source_says_the_channel_and_the_event_id_of_a_durable_event)
{
    static const char rest[] = "event: order\ndata: xxx\n\n";
    struct frame *shared = event_with("7", 3);
    check_source(shared, NULL, "id: 7\nsource: news\n", rest);
    check_source(shared, "cursor", "id: cursor\nsource: news\n", rest);
    shared->durable = true;
    shared->at = (struct event_id){.ms = UINT64_MAX, .offset = UINT64_MAX};
    check_source(shared, "8", "id: 8\nsource: news 18446744073709551615-18446744073709551615\n", rest);
    shared->is_gap = true; // stands for more than one event
    check_source(shared, "8", "id: 8\nsource: news\n", rest);
    frame_release(shared);
    shared = event_with(NULL, 3);
    check_source(shared, NULL, "source: news\n", rest);
    frame_release(shared);
}

TEST(the_longest_name_fits_into_a_source_line)
{
    char name[CHANNEL_NAME_MAX + 1];
    memset(name, 'n', CHANNEL_NAME_MAX);
    name[CHANNEL_NAME_MAX] = '\0';
    struct sse_event event = data_event("x", 1);
    struct frame *shared = frame_create(&event, channel_ref(name, CHANNEL_NAME_MAX));
    shared->durable = true;
    shared->at = (struct event_id){.ms = UINT64_MAX, .offset = UINT64_MAX};
    char lines[300];
    snprintf(lines, sizeof lines, "source: %s 18446744073709551615-18446744073709551615\n", name);
    check_source(shared, NULL, lines, "data: x\n\n");
    frame_release(shared);
}

TEST(a_frame_with_another_id_stands_where_the_shared_one_does)
{
    struct frame *shared = event_with("7", 3);
    shared->durable = true;
    shared->at = (struct event_id){.ms = 5, .offset = 2};
    shared->prev = (struct event_id){.ms = 4, .offset = 1};
    shared->epoch = 4;
    struct frame *f = frame_with_id(shared, "8", 1);
    ck_assert(f->durable && !f->is_gap);
    ck_assert(event_id_equal(f->at, shared->at) && event_id_equal(f->prev, shared->prev));
    ck_assert_uint_eq(f->epoch, 4);
    ck_assert_uint_eq(f->channel_hash, 42);
    ck_assert_uint_eq(f->channel_len, 4);
    ck_assert_mem_eq(f->channel, "news", 4);
    ck_assert_uint_eq(atomic_load(&shared->refs), 2);
    frame_release(f);
    ck_assert_uint_eq(atomic_load(&shared->refs), 1);
    frame_release(shared);
}

// Reads the frame up to its own release, as workers do: a frame freed too early, or read after the last
// release without order, is what the sanitizers see here.
static void *reader(void *arg)
{
    struct frame *f = arg;
    size_t sum = 0;
    for (int round = 0; round < 200; round++) {
        frame_retain(f);
        for (uint32_t i = 0; i < f->wire_len; i++)
            sum += (unsigned char)f->wire[i];
        frame_release(f);
    }
    frame_release(f);
    return (void *)(sum / 200);
}

TEST(threads_share_a_frame_until_the_last_lets_go)
{
    enum { THREADS = 4 };
    struct sse_event event = data_event("shared", 6);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[THREADS];
        void *sums[THREADS];
        struct frame *f = frame_create(&event, channel_ref("c", 1));
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, reader, frame_retain(f)), 0);
        frame_release(f);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], &sums[i]);
        for (int i = 1; i < THREADS; i++)
            ck_assert_ptr_eq(sums[i], sums[0]);
    }
}
