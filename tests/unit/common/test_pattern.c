#include "common/pattern.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

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

TEST_EACH(a_name_is_checked, names)
{
    ck_assert_msg(channel_name_check(names[_i].name, strlen(names[_i].name)) == names[_i].expected,
                  "name '%s'", names[_i].name);
}

TEST(a_name_has_128_bytes_at_most)
{
    char name[CHANNEL_NAME_MAX + 1];

    memset(name, 'x', sizeof(name));
    ck_assert_int_eq(channel_name_check(name, CHANNEL_NAME_MAX), CHANNEL_NAME_OK);
    ck_assert_int_eq(channel_name_check(name, CHANNEL_NAME_MAX + 1), CHANNEL_NAME_TOO_LONG);
}

TEST(a_name_with_a_nul_is_refused)
{
    ck_assert_int_eq(channel_name_check("a\0b", 3), CHANNEL_NAME_BAD_BYTE);
}

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

TEST_EACH(a_pattern_matches_its_names_only, matches)
{
    ck_assert_msg(pattern_matches(matches[_i].pattern, matches[_i].name, strlen(matches[_i].name)) ==
                      matches[_i].expected,
                  "pattern '%s' name '%s'", matches[_i].pattern, matches[_i].name);
}

static const struct {
    const char *pattern;
    bool expected;
} patterns[] = {
    {"news", true}, {"news*", true}, {"*", true},   {"user:42/*", true},    {"", false},
    {"a*b", false}, {"**", false},   {"a ", false}, {"caf\xc3\xa9", false},
};

TEST_EACH(a_pattern_has_one_star_at_its_end, patterns)
{
    ck_assert_msg(pattern_valid(patterns[_i].pattern) == patterns[_i].expected, "pattern '%s'",
                  patterns[_i].pattern);
}

TEST(a_pattern_is_no_longer_than_a_name)
{
    char pattern[CHANNEL_NAME_MAX + 3];

    memset(pattern, 'x', sizeof(pattern));
    pattern[CHANNEL_NAME_MAX] = '*';
    pattern[CHANNEL_NAME_MAX + 1] = '\0';
    ck_assert(pattern_valid(pattern));
    pattern[CHANNEL_NAME_MAX] = 'x';
    ck_assert(!pattern_valid(pattern));
}
