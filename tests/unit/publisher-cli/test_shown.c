#include "publisher-cli/shown.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *text;
    size_t len;
    const char *shown, *json;
} texts[] = {
#define ROW(text, shown, json)                                                                               \
    {                                                                                                        \
        text, sizeof(text) - 1, shown, json                                                                  \
    }
    ROW("", "", "\"\""),
    ROW("a \"b\" \\n", "a \"b\" \\n", "\"a \\\"b\\\" \\\\n\""),
    ROW("\t\r\n", "\\t\\r\\n", "\"\\u0009\\u000d\\u000a\""),
    ROW("\0x", "\\x00x", "\"\\u0000x\""),
    ROW("\x1b[31m\x7f", "\\x1b[31m\\x7f", "\"\\u001b[31m\\u007f\""),
    ROW("\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0", "\"\\u0080\\u009f\xc2\xa0\""),
    ROW("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xd8\x9c", "\\u2028\\u202e\\u2066\\u061c",
        "\"\\u2028\\u202e\\u2066\\u061c\""),
    ROW("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
    ROW("\xff\xe2\x82", "\\xff\\xe2\\x82", "\"\\ufffd\\ufffd\\ufffd\""),
};

static char *printed(void (*print)(FILE *, const char *, size_t), const char *text, size_t len)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    ck_assert_ptr_nonnull(file);
    print(file, text, len);
    ck_assert_int_eq(fclose(file), 0);
    return out;
}

TEST_EACH(no_byte_of_a_text_is_a_command_to_a_terminal, texts)
{
    char *out = printed(shown_text, texts[_i].text, texts[_i].len);
    ck_assert_str_eq(out, texts[_i].shown);
    free(out);
}

TEST_EACH(any_bytes_are_a_string_in_json, texts)
{
    char *out = printed(shown_json, texts[_i].text, texts[_i].len);
    ck_assert_str_eq(out, texts[_i].json);
    free(out);
}
