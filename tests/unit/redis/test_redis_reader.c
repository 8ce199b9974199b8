// What a server announces is bounded before memory is taken for it, wherever its bytes are split.
#include "gateway/redis/redis_reader.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct redis_limits limits = {.bulk = 64, .elements = 10, .bytes = 100};

static struct redis_reader reader;

static void setup(void)
{
    reader = (struct redis_reader){0};
    ck_assert(redis_reader_reset(&reader, NULL, NULL, &limits));
}

static void teardown(void)
{
    redis_reader_deinit(&reader);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

// What reading ends with, in pieces of `piece` bytes; `replies` gets the number of whole replies.
static enum redis_read read_all(const char *text, size_t len, size_t piece, unsigned *replies,
                                size_t *skipped)
{
    enum redis_read got = REDIS_READ_MORE;
    *replies = 0;
    for (size_t at = 0; at < len; at += piece) {
        if (!redis_reader_feed(&reader, text + at, len - at < piece ? len - at : piece))
            return REDIS_READ_ERROR;
        do {
            void *reply;
            got = redis_reader_next(&reader, &reply, skipped);
            if (got == REDIS_READ_REPLY)
                freeReplyObject(reply);
            *replies += got == REDIS_READ_REPLY || got == REDIS_READ_SKIPPED;
        } while (got == REDIS_READ_REPLY);
        if (got == REDIS_READ_ERROR)
            return got;
    }
    return got;
}

#define B10 "0123456789"
#define B40 B10 B10 B10 B10

static const struct {
    const char *text;
    unsigned replies;
    const char *error; // NULL: none
} cases[] = {
    {"+OK\r\n:1\r\n$-1\r\n*-1\r\n*0\r\n", 5, NULL},
    {"*10\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n+OK\r\n", 2, NULL},
    {"*11\r\n", 0, "an answer with too many elements"},
    {"+OK\r\n*2147483647\r\n", 1, "an answer with too many elements"},
    {"*5\r\n*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n*1\r\n", 0, "an answer with too many elements"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 2, NULL}, // counted for each reply
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", 0, "an answer that is nested too deep"},
    {"*2\r\n$40\r\n" B40 "\r\n$40\r\n" B40 "\r\n*2\r\n$40\r\n" B40 "\r\n$40\r\n" B40 "\r\n", 2, NULL},
    {"*3\r\n$40\r\n" B40 "\r\n$40\r\n" B40 "\r\n$40\r\n", 0, "an answer that is too large"},
    {"*3\r\n$40\r\n" B40 "\r\n$40\r\n" B40 "\r\n+" B10 B10 B10 "\r\n", 0, "an answer that is too large"},
    {"-" B40 B40 B40 "\r\n", 0, "an answer that is too large"},
    {"*2\r\n$100\r\n", 0, "an answer that is too large"}, // cut out of the end of a reply alone
};

TEST_EACH(what_is_announced_is_refused_before_it_is_read, cases)
{
    for (size_t piece = 1; piece <= 64; piece++) {
        unsigned replies;
        size_t skipped = 0;
        teardown(), setup();
        enum redis_read got = read_all(cases[_i].text, strlen(cases[_i].text), piece, &replies, &skipped);
        ck_assert_uint_eq(replies, cases[_i].replies);
        ck_assert_int_eq(got == REDIS_READ_ERROR, cases[_i].error != NULL);
        if (cases[_i].error)
            ck_assert_str_eq(reader.error, cases[_i].error);
    }
}

TEST(a_string_that_is_too_large_is_cut_out_and_reading_goes_on)
{
    static const char text[] = "*2\r\n+message\r\n$80\r\n" B40 B40 "\r\n:1\r\n";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        unsigned replies;
        size_t skipped = 0;
        teardown(), setup();
        enum redis_read got = read_all(text, sizeof text - 1, piece, &replies, &skipped);
        // In one piece the rest comes with the string: then it cannot be told apart, and is an error.
        if (got == REDIS_READ_ERROR)
            ck_assert_uint_gt(piece, 90);
        else
            ck_assert_uint_eq(replies, 2);
    }
}

TEST_LOOP(a_line_without_an_end_takes_no_more_memory_than_a_line_may, 0, 6)
{
    static const char *const kinds[] = {"+", "-", ":", "$", "*", "*1\r\n+"};
    char bytes[4096];
    size_t fed = strlen(kinds[_i]), skipped;
    void *reply;
    enum redis_read got = REDIS_READ_MORE;
    memset(bytes, '1', sizeof bytes);
    ck_assert(redis_reader_feed(&reader, kinds[_i], fed));
    for (; got == REDIS_READ_MORE && fed < 1 << 20; fed += sizeof bytes) {
        ck_assert(redis_reader_feed(&reader, bytes, sizeof bytes));
        got = redis_reader_next(&reader, &reply, &skipped);
    }
    ck_assert_int_eq(got, REDIS_READ_ERROR);
    ck_assert_uint_lt(fed, 80000);
}
