// Comparisons that checks of requests rest on.
#include <string.h>

#include "gateway/client/http_text.h"
#include "common/hex.h"
#include "tests/unit/lib/unit_main.h"

#define TEXT(s) (s), sizeof(s) - 1

TEST(texts_are_compared_without_case)
{
    struct http_text close = {TEXT("cLoSe")};
    ck_assert(http_text_is(close, "close"));
    ck_assert(!http_text_is(close, "closed"));
    ck_assert(!http_text_is(close, "clos"));
    ck_assert(!http_text_is((struct http_text){NULL, 0}, ""));
    ck_assert(http_text_is((struct http_text){"", 0}, ""));
    ck_assert(!http_text_is((struct http_text){TEXT("a\0b")}, "a"));
    ck_assert(
        !http_text_is((struct http_text){TEXT("@")}, "`")); // differ in the bit of case, but are no letters
}

TEST(blanks_are_trimmed_at_both_ends_only)
{
    static const struct {
        const char *text, *want;
    } cases[] = {{"", ""},           {" ", ""},    {"\t \t", ""}, {"a", "a"},
                 {" a\tb ", "a\tb"}, {"\ta", "a"}, {"a\v", "a\v"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_text got = http_text_trim((struct http_text){cases[i].text, strlen(cases[i].text)});
        ck_assert_uint_eq(got.len, strlen(cases[i].want));
        ck_assert_mem_eq(got.at, cases[i].want, got.len);
    }
}

TEST(every_byte_is_in_its_classes)
{
    static const char token_marks[] = "!#$%&'*+-.^_`|~";
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool digit = i >= '0' && i <= '9';
        bool alnum = digit || (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
        const char *at = i != 0 ? strchr(hex, i) : NULL;
        ck_assert_int_eq(http_is_digit(c), digit);
        ck_assert_int_eq(http_is_alnum(c), alnum);
        ck_assert_int_eq(http_is_token(c), alnum || (i != 0 && strchr(token_marks, i) != NULL));
        ck_assert_int_eq(hex_value(c), at != NULL ? (int)(at - hex) % 16 : -1);
    }
}
