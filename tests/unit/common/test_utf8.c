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

#define TEXT(s) (s), sizeof(s) - 1

// Every position of a bad byte sequence among ASCII, so that each step of the fast path meets it.
static bool valid_at(const char *bytes, size_t len, size_t offset, size_t total)
{
    char *text = malloc(total); // exact: reads past the end are caught
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', total);
    memcpy(text + offset, bytes, len);
    bool valid = utf8_text_valid(text, total);
    free(text);
    return valid;
}

static void check_validity(const char *bytes, size_t len, bool want)
{
    for (size_t total = len; total <= 80; total++)
        for (size_t offset = 0; offset + len <= total; offset++)
            ck_assert_msg(valid_at(bytes, len, offset, total) == want,
                          "first byte 0x%02x, at %zu of %zu: want %s", (unsigned char)bytes[0], offset, total,
                          want ? "valid" : "invalid");
}

TEST(valid_text)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {TEXT("\x01")},
        {TEXT("\x7f")},
        {TEXT("\xc2\x80")},
        {TEXT("\xdf\xbf")},
        {TEXT("\xe0\xa0\x80")},
        {TEXT("\xed\x9f\xbf")},
        {TEXT("\xee\x80\x80")},
        {TEXT("\xef\xbf\xbf")},
        {TEXT("\xf0\x90\x80\x80")},
        {TEXT("\xf4\x8f\xbf\xbf")},
        {TEXT("\xef\xbb\xbf")},
        {TEXT("\xd0\xb4\xd0\xb0 \xe2\x82\xac")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_validity(cases[i].bytes, cases[i].len, true);
    ck_assert(utf8_text_valid("", 0));
    ck_assert(utf8_text_valid(NULL, 0));
}

TEST(invalid_text)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {TEXT("\0")},
        {TEXT("\x80")},
        {TEXT("\xbf")},
        {TEXT("\xc0\x80")},
        {TEXT("\xc1\xbf")},
        {TEXT("\xc2")},
        {TEXT("\xc2z")},
        {TEXT("\xe0\x9f\xbf")},
        {TEXT("\xe0\xa0")},
        {TEXT("\xe1\x80")},
        {TEXT("\xe1\x80z")},
        {TEXT("\xed\xa0\x80")},
        {TEXT("\xed\xbf\xbf")},
        {TEXT("\xf0\x8f\xbf\xbf")},
        {TEXT("\xf0\x90\x80")},
        {TEXT("\xf4\x90\x80\x80")},
        {TEXT("\xf5\x80\x80\x80")},
        {TEXT("\xf8\x88\x80\x80\x80")},
        {TEXT("\xfe")},
        {TEXT("\xff")},
        {TEXT("\xc3\xa4\0")},
        {TEXT("\xc3\xa4\x80")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_validity(cases[i].bytes, cases[i].len, false);
}

TEST(words_of_a_server_are_ascii_for_a_page_wherever_they_are_cut)
{
    char out[8];
    utf8_copy_ascii(out, sizeof out, "NO \xc3\xa4\x1b[");
    ck_assert_str_eq(out, "NO ???[");
    utf8_copy_ascii(out, 4, "a\xc3\xa4");
    ck_assert_str_eq(out, "a??");
}
