// Entries of a stream, as Redis sends them: the frame that each becomes, and what is not taken for an event.
#include "gateway/redis/history_entry.h"

#include <stdio.h>
#include <string.h>

#include "gateway/fanout/cursor.h"
#include "tests/unit/lib/cursor_find.h"
#include "tests/unit/lib/unit_main.h"

#define MAX_MESSAGE 1000

static const struct event_id before = {.ms = 99, .offset = 4};

// The reply of an entry with the id and the fields, which end with NULL; freed by the test.
static redisReply *entry(const char *id, const char *const *fields)
{
    char bytes[4096];
    size_t count = 0;
    while (fields[count])
        count++;
    int n = snprintf(bytes, sizeof bytes, "*2\r\n$%zu\r\n%s\r\n*%zu\r\n", strlen(id), id, count);
    for (size_t i = 0; i < count; i++)
        n += snprintf(bytes + n, sizeof bytes - (size_t)n, "$%zu\r\n%s\r\n", strlen(fields[i]), fields[i]);
    ck_assert_int_lt(n, (int)sizeof bytes);
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    ck_assert_int_eq(redisReaderFeed(reader, bytes, (size_t)n), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    ck_assert_ptr_nonnull(reply);
    redisReaderFree(reader);
    return reply;
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define OURS(event, retry, data)                                                                             \
    FIELDS("epoch", "90", "prev", "100-4", "event", event, "retry", retry, "data", data)

static struct frame *frame_of(const char *id, const char *const *fields, enum counter *dropped)
{
    redisReply *reply = entry(id, fields);
    struct frame *f = history_entry_frame(reply, (struct channel_ref){.name = "news", .len = 4, .hash = 7},
                                          MAX_MESSAGE, before, dropped);
    freeReplyObject(reply);
    return f;
}

static void check_place(const struct frame *f, uint64_t ms, uint64_t offset)
{
    ck_assert(f->durable);
    ck_assert(event_id_equal(f->at, (struct event_id){.ms = ms, .offset = offset}));
    ck_assert_uint_eq(f->channel_hash, 7);
    ck_assert_uint_eq(f->channel_len, 4);
    ck_assert_mem_eq(f->channel, "news", 4);
}

TEST(an_entry_is_its_event)
{
    enum counter dropped;
    struct frame *f = frame_of("101-5", OURS("order", "250", "a\nb"), &dropped);
    ck_assert_int_eq(dropped, COUNTER_COUNT);
    check_place(f, 101, 5);
    ck_assert(!f->is_gap);
    ck_assert(event_id_equal(f->prev, (struct event_id){.ms = 100, .offset = 4}));
    ck_assert_uint_eq(f->epoch, 90);
    static const char body[] = "event: order\nretry: 250\ndata: a\ndata: b\n\n";
    size_t at = f->body_at + f->id_line_len;
    ck_assert_uint_eq(f->body_len - f->id_line_len, strlen(body));
    ck_assert_mem_eq(f->wire + at, body, strlen(body));
    struct event_id from;
    ck_assert_int_eq(cursor_find(f->wire + f->body_at + 4, f->id_line_len - 5, "news", 4, &from),
                     CURSOR_KNOWN);
    ck_assert(event_id_equal(from, f->at));
    frame_release(f);
}

TEST(an_entry_says_whether_it_is_the_last_one_of_its_channel)
{
    enum counter dropped;
    struct frame *f = frame_of("101-5", OURS("", "", "x"), &dropped);
    ck_assert(!f->ends);
    frame_release(f);
    f = frame_of("101-5", FIELDS("epoch", "90", "prev", "100-4", "data", "x", "end", "7200"), &dropped);
    ck_assert(f->ends && !f->is_gap);
    frame_release(f);
    f = frame_of("101-5", FIELDS("data", "x", "end", "7200"), &dropped); // sse_publish did not write it
    ck_assert(!f->ends && f->is_foreign);
    frame_release(f);
}

TEST(an_entry_is_a_snapshot_where_it_names_itself_and_has_one_where_it_names_any)
{
    static const struct {
        const char *base;
        bool is, has;
    } bases[] = {{"101-5", true, true},    {"99-3", false, true}, {"101-6", false, true},
                 {"101-5 ", false, false}, {"", false, false},    {"x", false, false}};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        enum counter dropped;
        struct frame *f = frame_of(
            "101-5", FIELDS("epoch", "90", "prev", "100-4", "data", "x", "base", bases[i].base), &dropped);
        static const char body[] = "snapshot: 1\ndata: x\n\n";
        const char *said = f->wire + f->body_at + f->id_line_len;
        ck_assert_int_eq(f->is_snapshot, bases[i].is);
        ck_assert_int_eq(strncmp(said, body, strlen(body)) == 0, bases[i].is);
        frame_release(f);
    }
}

TEST(empty_fields_are_absent_and_their_order_is_free)
{
    enum counter dropped;
    struct frame *f = frame_of("101-5", OURS("", "", ""), &dropped);
    ck_assert_mem_eq(f->wire + f->body_at + f->id_line_len, "data: \n\n", 8);
    frame_release(f);
    f = frame_of("101-5", FIELDS("data", "x", "more", "y", "prev", "100-4", "epoch", "90"), &dropped);
    ck_assert_int_eq(dropped, COUNTER_COUNT);
    ck_assert_mem_eq(f->wire + f->body_at + f->id_line_len, "data: x\n\n", 9);
    frame_release(f);
}

static const struct {
    const char *event, *retry, *data;
    enum counter reason;
} bad[] = {
    {"gateway:open", "", "x", COUNTER_DROPPED_ENVELOPE}, {"a\rb", "", "x", COUNTER_DROPPED_ENVELOPE},
    {"", "4294967296", "x", COUNTER_DROPPED_ENVELOPE},   {"", "-1", "x", COUNTER_DROPPED_ENVELOPE},
    {"", "", "\xff", COUNTER_DROPPED_NOT_TEXT},          {"\xc0\x80", "", "x", COUNTER_DROPPED_NOT_TEXT},
};

// The stream goes on behind it; a hole that nobody mentions would be asked for again and again.
TEST_EACH(what_no_stream_can_carry_is_a_gap_in_its_place, bad)
{
    enum counter dropped;
    struct frame *f = frame_of("101-5", OURS(bad[_i].event, bad[_i].retry, bad[_i].data), &dropped);
    ck_assert_int_eq(dropped, bad[_i].reason);
    check_place(f, 101, 5);
    ck_assert(f->is_gap && !f->is_foreign);
    ck_assert(event_id_equal(f->prev, (struct event_id){.ms = 100, .offset = 4}));
    ck_assert_ptr_nonnull(strstr(f->wire, "\"from\":5,\"to\":5}"));
    frame_release(f);
}

TEST(an_event_that_is_too_large_is_a_gap)
{
    enum counter dropped;
    char data[MAX_MESSAGE + 2];
    memset(data, 'x', sizeof data - 1);
    data[MAX_MESSAGE + 1] = '\0';
    struct frame *f = frame_of("101-5", OURS("", "", data), &dropped);
    ck_assert_int_eq(dropped, COUNTER_DROPPED_TOO_LARGE);
    ck_assert(f->is_gap);
    frame_release(f);
    data[MAX_MESSAGE] = '\0';
    f = frame_of("101-5", OURS("", "", data), &dropped);
    ck_assert_int_eq(dropped, COUNTER_COUNT);
    ck_assert(!f->is_gap);
    frame_release(f);
}

static const char *const foreign[][10] = {
    {"a", "b"},
    {"epoch", "90", "prev", "100-4", "event", "x"}, // no data
    {"epoch", "90", "prev", "x", "data", "x"},      //
    {"epoch", "90", "prev", "100", "data", "x"},    //
    {"epoch", "", "prev", "100-4", "data", "x"},    //
    {"epoch", "90", "prev", "101-5", "data", "x"},  // behind itself
    {"epoch", "90", "prev", "18446744073709551615-1", "data", "x"},
    {"epoch", "90", "prev", "100-3", "data", "x"}, // with a hole between the two
    {"epoch", "90", "prev", "98-4", "data", "x"},  // before the entry that stands before it
};

// Somebody's XADD by hand. It stands behind the entry that Redis sent before it, whatever it says.
TEST_EACH(an_entry_that_is_not_the_function_s_is_a_gap, foreign)
{
    enum counter dropped;
    struct frame *f = frame_of("101-5", foreign[_i], &dropped);
    ck_assert_int_eq(dropped, COUNTER_FOREIGN_ENTRIES);
    check_place(f, 101, 5);
    ck_assert(f->is_gap && f->is_foreign);
    ck_assert(event_id_equal(f->prev, before));
    frame_release(f);
}

static const char *const no_entries[] = {
    "$5\r\n101-5\r\n",      "*1\r\n$5\r\n101-5\r\n",        "*2\r\n$5\r\n101-5\r\n$1\r\nx\r\n",
    "*2\r\n:101\r\n*0\r\n", "*2\r\n$6\r\n101-5x\r\n*0\r\n", "*2\r\n$0\r\n\r\n*0\r\n",
    "*2\r\n$-1\r\n*0\r\n",  "*2\r\n$5\r\n101-5\r\n*-1\r\n",
};

TEST_EACH(what_is_no_entry_is_none, no_entries)
{
    enum counter dropped;
    struct event_id at;
    uint64_t epoch;
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    ck_assert_int_eq(redisReaderFeed(reader, no_entries[_i], strlen(no_entries[_i])), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    ck_assert(!history_entry_event_id(reply, &at, &epoch));
    ck_assert_ptr_null(history_entry_frame(reply, (struct channel_ref){.name = "news", .len = 4, .hash = 7},
                                           MAX_MESSAGE, before, &dropped));
    freeReplyObject(reply);
    redisReaderFree(reader);
}
