#include "gateway/auth/json_strict.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static json_t *read_text(const char *text)
{
    return json_strict_object(text, strlen(text), 3);
}

static const char *const good[] = {"{}", " {\"a\":[{}]}\n", "{\"a\":\"[[[[{{{{\\\"[[[[\"}",
                                   "{\"a\":{},\"b\":{},\"c\":{}}"};

TEST_EACH(one_object_is_read, good)
{
    json_t *object = read_text(good[_i]);
    ck_assert_ptr_nonnull(object);
    json_decref(object);
}

static const char *const bad[] = {
    "",
    "[]",
    "1",
    "null",
    "{} {}",
    "{}x",
    "{\"a\":1,\"a\":1}",
    "{\"a\":{\"b\":1,\"b\":2}}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1,}",
    "{\"a\":\"\\u0000\"}",
    "{\"\\u0000\":1}",
    "{\"a\":\"\xff\"}",
    "{\"a\":1e999}",
    "{\"a\":[[[]]]}",
    "{\"a\":{\"b\":{\"c\":{}}}}",
    "{\"a\":NaN}",
    "{\"a\":01}",
    "{\"a\":\"\\ud800\"}",
    "\xef\xbb\xbf{}",
    "{\"a\":1//\n}",
};

TEST_EACH(anything_else_is_refused, bad)
{
    ck_assert_ptr_null(read_text(bad[_i]));
}

TEST(what_stands_behind_a_nul_is_not_left_out)
{
    ck_assert_ptr_null(json_strict_object("{}\0{}", 5, 3));
}
