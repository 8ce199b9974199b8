// Ids of stream entries as Redis writes them, and their order.
#include "gateway/fanout/event_id.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *text;
    size_t read; // 0: none
    uint64_t ms, offset;
} texts[] = {
    {"1-2", 3, 1, 2},
    {"0-0", 3, 0, 0},
    {"1700000000000-42", 16, 1700000000000, 42},
    {"1700000000000-42 1-1", 16, 1700000000000, 42},
    {"18446744073709551615-18446744073709551615", 41, UINT64_MAX, UINT64_MAX},
    {"18446744073709551616-1", 0, 0, 0},
    {"1-18446744073709551616", 0, 0, 0},
    {"99999999999999999999999-1", 0, 0, 0},
    {"007-08", 6, 7, 8},
    {"", 0, 0, 0},
    {"-", 0, 0, 0},
    {"1", 0, 0, 0},
    {"1-", 0, 0, 0},
    {"-1", 0, 0, 0},
    {"1--1", 0, 0, 0},
    {"1-+1", 0, 0, 0},
    {" 1-1", 0, 0, 0},
    {"1 -1", 0, 0, 0},
    {"a-1", 0, 0, 0},
};

TEST_EACH(an_id_is_read_as_redis_writes_it, texts)
{
    struct event_id p;
    // In memory of its own, so that a byte too much is noticed.
    size_t len = strlen(texts[_i].text);
    char *text = malloc(len + !len);
    memcpy(text, texts[_i].text, len);
    ck_assert_uint_eq(event_id_parse(text, len, &p), texts[_i].read);
    if (texts[_i].read > 0) {
        ck_assert_uint_eq(p.ms, texts[_i].ms);
        ck_assert_uint_eq(p.offset, texts[_i].offset);
    }
    free(text);
}

TEST(positions_have_the_order_of_redis)
{
    static const struct event_id sorted[] = {{0, 0}, {0, 1}, {1, 0}, {1, 9}, {2, 1}, {2, UINT64_MAX}, {3, 0}};
    enum { COUNT = sizeof sorted / sizeof *sorted };
    for (int a = 0; a < COUNT; a++) {
        for (int b = 0; b < COUNT; b++) {
            ck_assert_int_eq(event_id_before(sorted[a], sorted[b]), a < b);
            ck_assert_int_eq(event_id_equal(sorted[a], sorted[b]), a == b);
        }
        ck_assert_int_eq(event_id_is_zero(sorted[a]), a == 0);
    }
}
