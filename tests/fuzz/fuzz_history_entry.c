// Any reply of Redis where an entry of a history is expected: a whole frame with a place of its own, or none.
#include "gateway/redis/history_entry.h"

#include <string.h>

#include "common/utf8.h"
#include "gateway/redis/redis_reader.h"
#include "tests/fuzz/fuzz.h"

#define MAX_MESSAGE 4096

static void check(const struct frame *f, const struct event_id *at, enum counter dropped)
{
    CHECK(f->durable && event_id_equal(f->at, *at));
    CHECK(f->is_gap == (dropped != COUNTER_COUNT));
    CHECK(f->id_line_len > 0 && f->id_line_len < f->body_len);
    CHECK(f->body_at + f->body_len + SSE_CHUNK_TAIL == f->wire_len);
    CHECK(utf8_text_valid(f->wire, f->wire_len));
    // One event: its only blank line is its end.
    const char *body = f->wire + f->body_at;
    const char *end = memmem(body, f->body_len, "\n\n", 2);
    CHECK(end == body + f->body_len - 2 && !memchr(body, '\r', f->body_len));
}

static void take(const redisReply *entry)
{
    struct event_id at;
    uint64_t epoch;
    enum counter dropped;
    const struct event_id before = {.ms = 1, .offset = 1};
    bool stands = history_entry_event_id(entry, &at, &epoch);
    struct frame *f = history_entry_frame(entry, (struct channel_ref){.name = "news", .len = 4, .hash = 7},
                                          MAX_MESSAGE, before, &dropped);
    CHECK(stands == (f != NULL));
    if (f)
        check(f, &at, dropped);
    frame_release(f);
}

// Entries of the function's own, with any fields: the fuzzer need not find the frame of the reply.
static void take_ours(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"epoch", "prev", "event", "retry", "data"};
    redisReply values[10], *elements[10],
        id = {.type = REDIS_REPLY_STRING, .str = (char[]){"101-5"}, .len = 5};
    size_t count = 0;
    for (int i = 0; i < 5; i++) {
        size_t len = size > 0 && i < 4 ? data[0] % 24u : size;
        data += size > 0 && i<4, size -= size> 0 && i < 4;
        len = len < size ? len : size;
        values[count] = (redisReply){
            .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)names[i], .len = strlen(names[i])};
        values[count + 1] =
            (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)data, .len = len};
        elements[count] = &values[count];
        elements[count + 1] = &values[count + 1];
        count += 2;
        data += len, size -= len;
    }
    redisReply fields = {.type = REDIS_REPLY_ARRAY, .elements = count, .element = elements};
    redisReply *parts[] = {&id, &fields};
    const redisReply entry = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = parts};
    take(&entry);
}

// By the reader of the gateway: the bare one of hiredis allocates whatever an array announces.
static void take_reply(const uint8_t *data, size_t size)
{
    static const struct redis_limits limits = {.bulk = 2 * MAX_MESSAGE, .elements = 1024, .bytes = 1 << 20};
    struct redis_reader reader = {0};
    void *reply = NULL;
    size_t skipped = 0;
    if (redis_reader_reset(&reader, NULL, NULL, &limits) &&
        redis_reader_feed(&reader, (const char *)data, size < 16384 ? size : 16384) &&
        redis_reader_next(&reader, &reply, &skipped) == REDIS_READ_REPLY && reply)
        take(reply);
    if (reply)
        freeReplyObject(reply);
    redis_reader_deinit(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_reply(data, size);
    take_ours(data, size);
    return 0;
}
