#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

// The bounds of every range in RFC 3629's grammar, and one step beyond each.
static const struct {
    const char *text;
    size_t len, expected;
} characters[] = {
    {"", 0, 0},
    {"\0", 1, 1},
    {"a", 1, 1},
    {"\x7f", 1, 1},
    {"\x80", 1, 0},
    {"\xbf", 1, 0},
    {"\xc0\xaf", 2, 0},
    {"\xc1\xbf", 2, 0},
    {"\xc2\x80", 2, 2},
    {"\xc2\x7f", 2, 0},
    {"\xdf\xbf", 2, 2},
    {"\xdf\xc0", 2, 0},
    {"\xdf", 1, 0},
    {"\xe0\x9f\xbf", 3, 0},
    {"\xe0\xa0\x80", 3, 3},
    {"\xe0\xa0", 2, 0},
    {"\xe0\xa0\x7f", 3, 0},
    {"\xec\xbf\xbf", 3, 3},
    {"\xed\x9f\xbf", 3, 3},
    {"\xed\xa0\x80", 3, 0},
    {"\xee\x80\x80", 3, 3},
    {"\xef\xbf\xbf", 3, 3},
    {"\xef\xbf\xc0", 3, 0},
    {"\xf0\x8f\xbf\xbf", 4, 0},
    {"\xf0\x90\x80\x80", 4, 4},
    {"\xf0\x90\x80", 3, 0},
    {"\xf0\x90\x80\xc0", 4, 0},
    {"\xf3\xbf\xbf\xbf", 4, 4},
    {"\xf4\x8f\xbf\xbf", 4, 4},
    {"\xf4\x90\x80\x80", 4, 0},
    {"\xf5\x80\x80\x80", 4, 0},
    {"\xff", 1, 0},
    {"ab", 2, 1},
};

TEST_EACH(a_character_has_its_length, characters)
{
    // A copy of just its size, so that a sanitizer sees a read behind it.
    char *text = malloc(characters[_i].len ? characters[_i].len : 1);

    memcpy(text, characters[_i].text, characters[_i].len);
    ck_assert_uint_eq(utf8_sequence(text, characters[_i].len), characters[_i].expected);
    free(text);
}

TEST(the_valid_part_ends_at_the_first_bad_byte)
{
    ck_assert_uint_eq(utf8_valid_length("", 0), 0);
    ck_assert_uint_eq(utf8_valid_length("abc", 3), 3);
    ck_assert_uint_eq(utf8_valid_length("a\xc3\xa9z", 4), 4);
    ck_assert_uint_eq(utf8_valid_length("a\xc3\xa9\xff", 4), 3);
    ck_assert_uint_eq(utf8_valid_length("a\xc3\xa9", 2), 1);
}
