#include "common/base64url.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

// RFC 4648 section 10, without padding, and the two characters that base64 has not.
static const struct {
    const char *bytes, *text;
} pairs[] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
             {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};

TEST_EACH(a_text_and_its_bytes_are_one_and_the_same, pairs)
{
    unsigned char bytes[BASE64URL_BYTES(16)];
    char text[BASE64URL_TEXT(16)];
    size_t len;
    ck_assert(base64url_decode(pairs[_i].text, strlen(pairs[_i].text), bytes, &len));
    ck_assert_mem_eq(bytes, pairs[_i].bytes, len);
    ck_assert_uint_eq(len, strlen(pairs[_i].bytes));
    ck_assert_uint_eq(base64url_encode(bytes, len, text), strlen(pairs[_i].text));
    ck_assert_str_eq(text, pairs[_i].text);
}

static const char *const wrong[] = {
    "Zg==",   "Zg=",   "=",    "Z",    "Zm9vY", // padding, and lengths that no bytes make
    "Zh",     "Zm9",   "-_9",                   // bits behind the last byte
    "Zm9v\n", " Zm9v", "Zm+v", "Zm/v", "Zm.v",  "Zm\xc3\xa9", "Zm9v Zm9v",
};

TEST_EACH(what_is_not_canonical_is_refused, wrong)
{
    unsigned char bytes[BASE64URL_BYTES(16)];
    size_t len;
    ck_assert(!base64url_decode(wrong[_i], strlen(wrong[_i]), bytes, &len));
}

TEST(a_nul_is_no_character)
{
    unsigned char bytes[BASE64URL_BYTES(16)];
    size_t len;
    ck_assert(!base64url_decode("Zm\0v", 4, bytes, &len));
}
