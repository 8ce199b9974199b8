// What is kept of large replies, in whatever pieces they arrive: by the bound on one string, and by those on a
// whole reply.
#include "gateway/redis/redis_reader.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

enum { MAX_BULK = 1000, MAX = 2500, ELEMENT_MAX = 1500, PIECES_MAX = 16384 };

struct text {
    char bytes[65536];
    size_t len;
};

static struct redis_reader reader;

static void setup(void)
{
    reader = (struct redis_reader){0};
    const struct redis_limits limits = {
        .bulk = MAX_BULK, .elements = 1000, .bytes = 1000000, .kept = MAX, .kept_element = ELEMENT_MAX};
    ck_assert(redis_reader_reset(&reader, NULL, NULL, &limits));
}

static void teardown(void)
{
    redis_reader_deinit(&reader);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void put(struct text *t, const char *text)
{
    t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len, "%s", text);
    ck_assert_uint_lt(t->len, sizeof t->bytes);
}

static void put_string(struct text *t, char of, size_t len)
{
    char head[32];
    snprintf(head, sizeof head, "$%zu\r\n", len);
    put(t, head);
    ck_assert_uint_lt(t->len + len + 2, sizeof t->bytes);
    memset(t->bytes + t->len, of, len);
    t->len += len;
    put(t, "\r\n");
}

// An entry as XRANGE has it: an id of 3 bytes, and one field.
static void put_entry(struct text *t, size_t value)
{
    put(t, "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nk\r\n");
    put_string(t, 'v', value);
}

// The first reply of the text, which is fed in pieces of `piece` bytes.
static redisReply *read_reply(const struct text *t, size_t piece, size_t *skipped)
{
    void *reply = NULL;
    *skipped = 0;
    for (size_t at = 0; at < t->len; at += piece) {
        size_t n = t->len - at < piece ? t->len - at : piece, len;
        ck_assert(redis_reader_feed(&reader, t->bytes + at, n));
        enum redis_read what;
        while (!reply && (what = redis_reader_next(&reader, &reply, &len)) == REDIS_READ_SKIPPED)
            *skipped += len;
        ck_assert_int_ne(what, REDIS_READ_ERROR);
    }
    ck_assert_ptr_nonnull(reply);
    return reply;
}

static const redisReply *value_of(const redisReply *reply, size_t entry)
{
    return reply->element[entry]->element[1]->element[1];
}

static const size_t pieces[] = {1, 2, 3, 7, 64, 1000, PIECES_MAX};

TEST_EACH(a_string_above_the_bound_is_a_nil_in_its_place_and_what_follows_is_whole, pieces)
{
    struct text t = {.len = 0};
    size_t skipped;
    put(&t, "*4\r\n");
    put_entry(&t, 10);
    put_entry(&t, MAX_BULK + 1);
    put_entry(&t, 20000);
    put_entry(&t, 20);
    redisReply *reply = read_reply(&t, pieces[_i], &skipped);
    ck_assert_uint_eq(reply->elements, 4);
    ck_assert_int_eq(value_of(reply, 0)->type, REDIS_REPLY_STRING);
    ck_assert_int_eq(value_of(reply, 3)->type, REDIS_REPLY_STRING);
    ck_assert_int_eq(value_of(reply, 3)->len, 20);
    // What has come whole before it was looked at is whole.
    if (pieces[_i] <= MAX_BULK) {
        ck_assert_int_eq(value_of(reply, 1)->type, REDIS_REPLY_NIL);
        ck_assert_uint_eq(skipped, MAX_BULK + 1 + 20000);
    }
    ck_assert_int_eq(value_of(reply, 2)->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
}

TEST_EACH(elements_after_the_limit_are_left_out_whole, pieces)
{
    struct text t = {.len = 0};
    size_t skipped;
    put(&t, "*5\r\n");
    for (int i = 0; i < 5; i++)
        put_entry(&t, 990);
    redisReply *reply = read_reply(&t, pieces[_i], &skipped);
    for (size_t i = 0; i < 5; i++) {
        int type = i < 3 ? REDIS_REPLY_STRING : REDIS_REPLY_STATUS;
        ck_assert_int_eq(reply->element[i]->element[0]->type, type);
        ck_assert_int_eq(value_of(reply, i)->type, type);
    }
    ck_assert_uint_eq(reader.announced, 5 * 994);
    freeReplyObject(reply);
    t.len = 0;
    put(&t, "*1\r\n");
    put_entry(&t, 990);
    reply = read_reply(&t, pieces[_i], &skipped);
    ck_assert_int_eq(value_of(reply, 0)->type, REDIS_REPLY_STRING);
    freeReplyObject(reply);
}

// A reader that goes on from the last element that it has needs the next one.
TEST_EACH(of_large_elements_the_first_two_are_there, pieces)
{
    struct text t = {.len = 0};
    size_t skipped;
    put(&t, "*3\r\n");
    for (int i = 0; i < 3; i++) {
        put(&t, "*2\r\n$3\r\n1-1\r\n*4\r\n");
        for (int k = 0; k < 4; k++)
            put_string(&t, 'v', 900);
    }
    redisReply *reply = read_reply(&t, pieces[_i], &skipped);
    for (size_t i = 0; i < 2; i++) {
        const redisReply *fields = reply->element[i]->element[1];
        ck_assert_int_eq(reply->element[i]->element[0]->type, REDIS_REPLY_STRING);
        ck_assert_int_eq(fields->element[1]->type, REDIS_REPLY_STRING);
        ck_assert_int_eq(fields->element[3]->type, REDIS_REPLY_STATUS);
    }
    ck_assert_int_eq(reply->element[2]->element[0]->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

TEST_EACH(errors_and_numbers_are_never_cut, pieces)
{
    static const struct text error = {.bytes = "-MASTERDOWN x\r\n", .len = 15};
    static const struct text number = {.bytes = ":42\r\n", .len = 5};
    size_t skipped;
    redisReply *reply = read_reply(&error, pieces[_i], &skipped);
    ck_assert_str_eq(reply->str, "MASTERDOWN x");
    freeReplyObject(reply);
    reply = read_reply(&number, pieces[_i], &skipped);
    ck_assert_int_eq(reply->integer, 42);
    freeReplyObject(reply);
}
