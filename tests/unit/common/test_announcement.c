#include "common/announcement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct announcement one = {.id = "gw-1:8080",
                                        .version = "0.1.0",
                                        .run = 0x8f3a5c0e91d2b467,
                                        .connections = 1520,
                                        .capacity = 20000,
                                        .every_ms = 1000,
                                        .draining = true,
                                        .rebalancing = true};

TEST(what_is_written_reads_back_as_the_same)
{
    struct announcement again;
    char *text = announcement_text(&one);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_le(strlen(text), ANNOUNCEMENT_MAX);
    ck_assert(announcement_parse(text, strlen(text), &again));
    ck_assert_mem_eq(&again, &one, sizeof one);
    free(text);
}

TEST(the_format_is_that_of_the_protocol)
{
    char *text = announcement_text(&one);
    ck_assert_str_eq(
        text, "{\"id\":\"gw-1:8080\",\"run\":\"8f3a5c0e91d2b467\",\"version\":\"0.1.0\",\"connections\":1520,"
              "\"capacity\":20000,\"draining\":true,\"ready\":false,\"every\":1000,\"rebalancing\":true}");
    free(text);
}

TEST(the_longest_names_fit)
{
    struct announcement a = one, again;
    memset(a.id, 'x', ANNOUNCEMENT_ID_MAX);
    memset(a.version, 'y', ANNOUNCEMENT_VERSION_MAX);
    a.connections = a.capacity = 1000000000;
    a.leaving = true;
    char *text = announcement_text(&a);
    ck_assert(announcement_parse(text, strlen(text), &again));
    ck_assert_str_eq(again.id, a.id);
    ck_assert(again.leaving);
    free(text);
}

#define REST ",\"connections\":1,\"capacity\":2,\"draining\":false,\"ready\":true,\"every\":1000"
#define NAMES "\"id\":\"a\",\"version\":\"1\",\"run\":\"00000000000000ff\""

TEST(unknown_members_are_ignored)
{
    static const char text[] = " {" NAMES REST ",\"colour\":{\"deep\":[[1]]}} ";
    struct announcement a;
    ck_assert(announcement_parse(text, strlen(text), &a));
    ck_assert_uint_eq(a.run, 0xff);
}

static const char *const junk[] = {
    "",
    "hello",
    "[]",
    "{}",
    "null",
    "{" NAMES "}",
    "{" NAMES REST,
    "{" NAMES REST "} {}",
    "{" NAMES REST ",\"id\":\"b\"}",
    "{\"id\":\"a b\",\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{\"id\":\"\",\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{\"id\":\"a\\u0000b\",\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{\"id\":\"\\u001b[2J\",\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{\"id\":\"a\\\"\",\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{\"id\":\"a\",\"version\":\"1\",\"run\":\"ff\"" REST "}",
    "{\"id\":\"a\",\"version\":\"1\",\"run\":\"00000000000000fg\"" REST "}",
    "{\"id\":7,\"version\":\"1\",\"run\":\"00000000000000ff\"" REST "}",
    "{" NAMES ",\"connections\":-1,\"capacity\":2,\"draining\":false,\"ready\":true,\"every\":1000}",
    "{" NAMES ",\"connections\":1.5,\"capacity\":2,\"draining\":false,\"ready\":true,\"every\":1000}",
    "{" NAMES ",\"connections\":1,\"capacity\":0,\"draining\":false,\"ready\":true,\"every\":1000}",
    "{" NAMES ",\"connections\":1,\"capacity\":99999999999,\"draining\":false,\"ready\":true,\"every\":1000}",
    "{" NAMES ",\"connections\":1,\"capacity\":2,\"draining\":0,\"ready\":true,\"every\":1000}",
    "{" NAMES ",\"connections\":1,\"capacity\":2,\"draining\":false,\"every\":1000}",
    "{" NAMES ",\"connections\":1,\"capacity\":2,\"draining\":false,\"ready\":true,\"every\":0}",
    "{" NAMES ",\"connections\":1,\"capacity\":2,\"draining\":false,\"ready\":true,\"every\":99999999}",
};

TEST_EACH(what_is_no_announcement_is_refused, junk)
{
    struct announcement a;
    ck_assert_msg(!announcement_parse(junk[_i], strlen(junk[_i]), &a), "%s", junk[_i]);
}

TEST(an_announcement_that_is_too_long_is_refused)
{
    char text[ANNOUNCEMENT_MAX + 2];
    int len = snprintf(text, sizeof text, "{" NAMES REST "}");
    struct announcement a;
    memset(text + len, ' ', sizeof text - (size_t)len);
    ck_assert(announcement_parse(text, ANNOUNCEMENT_MAX, &a));
    ck_assert(!announcement_parse(text, ANNOUNCEMENT_MAX + 1, &a));
}
