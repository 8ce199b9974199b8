#include "common/pattern.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum channel_name_result expected;
} names[] = {
    {"news", CHANNEL_NAME_OK},
    {"user:42", CHANNEL_NAME_OK},
    {"a", CHANNEL_NAME_OK},
    {"AZaz09_.:@/-", CHANNEL_NAME_OK},
    {"_one", CHANNEL_NAME_OK},
    {"sse", CHANNEL_NAME_OK},
    {"sse-x", CHANNEL_NAME_OK},
    {"SSE:x", CHANNEL_NAME_OK},
    {"", CHANNEL_NAME_EMPTY},
    {"__x", CHANNEL_NAME_RESERVED},
    {"__", CHANNEL_NAME_RESERVED},
    {"sse:", CHANNEL_NAME_RESERVED},
    {"sse:gateways", CHANNEL_NAME_RESERVED},
    {"a b", CHANNEL_NAME_BAD_BYTE},
    {"a*", CHANNEL_NAME_BAD_BYTE},
    {"a\n", CHANNEL_NAME_BAD_BYTE},
    {"{a}", CHANNEL_NAME_BAD_BYTE},
    {"caf\xc3\xa9", CHANNEL_NAME_BAD_BYTE},
    {"a,b", CHANNEL_NAME_BAD_BYTE},
    {"[", CHANNEL_NAME_BAD_BYTE},
    {"`", CHANNEL_NAME_BAD_BYTE},
};

START_TEST(a_name_is_checked)
{
    ck_assert_msg(channel_name_check(names[_i].name, strlen(names[_i].name)) == names[_i].expected,
                  "name '%s'", names[_i].name);
}
END_TEST

START_TEST(a_name_has_128_bytes_at_most)
{
    char name[CHANNEL_NAME_MAX + 1];

    memset(name, 'x', sizeof(name));
    ck_assert_int_eq(channel_name_check(name, CHANNEL_NAME_MAX), CHANNEL_NAME_OK);
    ck_assert_int_eq(channel_name_check(name, CHANNEL_NAME_MAX + 1), CHANNEL_NAME_TOO_LONG);
}
END_TEST

START_TEST(a_name_with_a_nul_is_refused)
{
    ck_assert_int_eq(channel_name_check("a\0b", 3), CHANNEL_NAME_BAD_BYTE);
}
END_TEST

static const struct {
    const char *pattern, *name;
    bool expected;
} matches[] = {
    {"news", "news", true},       {"news", "newsy", false},
    {"news", "new", false},       {"news*", "news", true},
    {"news*", "newsy", true},     {"news*", "new", false},
    {"*", "anything", true},      {"*", "", true},
    {"user:*", "user:1", true},   {"user:*", "user", false},
    {"user:*", "users:1", false}, {"", "a", false},
};

START_TEST(a_pattern_matches_its_names_only)
{
    ck_assert_msg(pattern_matches(matches[_i].pattern, matches[_i].name, strlen(matches[_i].name)) ==
                      matches[_i].expected,
                  "pattern '%s' name '%s'", matches[_i].pattern, matches[_i].name);
}
END_TEST

static const struct {
    const char *pattern;
    bool expected;
} patterns[] = {
    {"news", true}, {"news*", true}, {"*", true},   {"user:42/*", true},    {"", false},
    {"a*b", false}, {"**", false},   {"a ", false}, {"caf\xc3\xa9", false},
};

START_TEST(a_pattern_has_one_star_at_its_end)
{
    ck_assert_msg(pattern_valid(patterns[_i].pattern) == patterns[_i].expected, "pattern '%s'",
                  patterns[_i].pattern);
}
END_TEST

START_TEST(a_pattern_is_no_longer_than_a_name)
{
    char pattern[CHANNEL_NAME_MAX + 3];

    memset(pattern, 'x', sizeof(pattern));
    pattern[CHANNEL_NAME_MAX] = '*';
    pattern[CHANNEL_NAME_MAX + 1] = '\0';
    ck_assert(pattern_valid(pattern));
    pattern[CHANNEL_NAME_MAX] = 'x';
    ck_assert(!pattern_valid(pattern));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern");
    TCase *tcase = tcase_create("pattern");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, a_name_is_checked, 0, sizeof(names) / sizeof(names[0]));
    tcase_add_test(tcase, a_name_has_128_bytes_at_most);
    tcase_add_test(tcase, a_name_with_a_nul_is_refused);
    tcase_add_loop_test(tcase, a_pattern_matches_its_names_only, 0, sizeof(matches) / sizeof(matches[0]));
    tcase_add_loop_test(tcase, a_pattern_has_one_star_at_its_end, 0, sizeof(patterns) / sizeof(patterns[0]));
    tcase_add_test(tcase, a_pattern_is_no_longer_than_a_name);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
