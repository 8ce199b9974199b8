#include "common/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"
#include "tests/unit/lib/unit_main.h"

// More than there is is asked for here; AddressSanitizer is to answer as malloc does.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static struct buf buf;

static void teardown(void)
{
    buf_free(&buf);
}

TESTS_WITH(.teardown = teardown);

static void check_holds(const char *text)
{
    ck_assert_uint_eq(buf.len, strlen(text));
    ck_assert_mem_eq(buf.data, text, buf.len);
}

TEST(appended_bytes_stand_in_order)
{
    ck_assert(buf_append(&buf, "one", 3));
    ck_assert(buf_append(&buf, " two", 4));
    check_holds("one two");
}

TEST(nothing_appended_takes_no_memory)
{
    ck_assert(buf_append(&buf, NULL, 0));
    ck_assert_ptr_null(buf.data);
    ck_assert_uint_eq(buf.len, 0);
}

TEST(formatted_text_has_no_terminator)
{
    ck_assert(buf_printf(&buf, "%d-%s", 42, "x"));
    ck_assert(buf_append(&buf, "!", 1));
    ck_assert(buf_printf(&buf, "%s", ""));
    check_holds("42-x!");
}

// Formatted text needs one byte more than it has: at the end of the memory that is what goes wrong.
TEST(formatted_text_fits_at_every_fill)
{
    for (size_t fill = 0; fill <= 600; fill++) {
        for (size_t i = 0; i < fill; i++)
            if (!buf_append(&buf, ".", 1))
                ck_abort_msg("out of memory");
        ck_assert(buf_printf(&buf, "%s", "abc"));
        ck_assert_uint_eq(buf.len, fill + 3);
        ck_assert_uint_lt(buf.len, buf.capacity);
        ck_assert_mem_eq(buf.data + fill, "abc", 3);
        buf_free(&buf);
    }
}

TEST(behaves_as_one_large_array_does)
{
    enum { MAX = 1 << 20 };
    char *model = malloc(MAX);
    size_t len = 0;
    uint64_t random = 1;
    for (;;) {
        char piece[5000];
        size_t n = jitter_next(&random) % sizeof piece;
        if (len + n > MAX)
            break;
        memset(piece, (int)(jitter_next(&random) & 0xff), n);
        ck_assert(buf_append(&buf, piece, n));
        memcpy(model + len, piece, n);
        len += n;
        ck_assert_uint_eq(buf.len, len);
    }
    ck_assert_mem_eq(buf.data, model, len);
    free(model);
}

TEST(clearing_keeps_little_memory_and_gives_much_back)
{
    static const char bytes[100000];
    ck_assert(buf_append(&buf, bytes, 1000));
    const char *kept = buf.data;
    buf_clear(&buf);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_ptr_eq(buf.data, kept);
    ck_assert(buf_append(&buf, bytes, sizeof bytes));
    buf_clear(&buf);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_uint_eq(buf.capacity, 0);
    ck_assert(buf_append(&buf, "x", 1));
    check_holds("x");
}

TEST(too_much_is_refused_and_changes_nothing)
{
    ck_assert(buf_append(&buf, "abc", 3));
    ck_assert(!buf_append(&buf, "abc", SIZE_MAX)); // the sum would go round
    ck_assert(!buf_append(&buf, "abc", SIZE_MAX - 2));
    ck_assert(!buf_append(&buf, "abc", SIZE_MAX / 2));
    ck_assert(!buf_append(&buf, "abc", SIZE_MAX / 4)); // more than there is memory
    check_holds("abc");
}
