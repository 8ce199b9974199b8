#include "publisher-cli/route.h"

#include <check.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int type;
    char *text;
    enum route_advice advice;
} answers[] = {
    {REDIS_REPLY_ERROR, "MOVED 3999 127.0.0.1:6381", ROUTE_MOVED},
    {REDIS_REPLY_ERROR, "ASK 3999 127.0.0.1:6381", ROUTE_ASK},
    {REDIS_REPLY_ERROR, "TRYAGAIN Multiple keys request during rehashing of slot", ROUTE_LATER},
    {REDIS_REPLY_ERROR, "CLUSTERDOWN The cluster is down", ROUTE_LATER},
    {REDIS_REPLY_ERROR, "ERR MOVED 1 a:1", ROUTE_HERE},
    {REDIS_REPLY_ERROR, "ASKING is something else", ROUTE_HERE},
    {REDIS_REPLY_STRING, "MOVED 3999 127.0.0.1:6381", ROUTE_HERE},
    {REDIS_REPLY_INTEGER, NULL, ROUTE_HERE},
};

START_TEST(only_errors_of_a_cluster_send_elsewhere)
{
    redisReply reply = {.type = answers[_i].type, .str = answers[_i].text};

    ck_assert_int_eq(route_advice(&reply), answers[_i].advice);
}
END_TEST

static const struct {
    char *text;
    const char *host; // NULL: makes no sense
    unsigned short port;
} places[] = {
    {"MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381},
    {"ASK 3999 ::1:65535", "::1", 65535},
    {"MOVED 1 redis-0.example.com:1", "redis-0.example.com", 1},
    {"MOVED 1 :6379", "same", 6379},
    {"MOVED 1", NULL, 0},
    {"MOVED", NULL, 0},
    {"MOVED 1 nohost", NULL, 0},
    {"MOVED 1 h:", NULL, 0},
    {"MOVED 1 h:0", NULL, 0},
    {"MOVED 1 h:65536", NULL, 0},
    {"MOVED 1 h:-1", NULL, 0},
    {"MOVED 1 h: 1", NULL, 0},
    {"ASK 1 h:1x", NULL, 0},
};

START_TEST(a_place_is_read)
{
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = places[_i].text};
    char host[REDIS_HOST_SIZE];
    unsigned short port = 0;

    ck_assert_int_eq(route_read_place(&reply, "same", host, &port), places[_i].host != NULL);
    if (places[_i].host) {
        ck_assert_str_eq(host, places[_i].host);
        ck_assert_uint_eq(port, places[_i].port);
    }
}
END_TEST

START_TEST(a_host_that_is_too_long_is_none)
{
    char text[REDIS_HOST_SIZE + 32] = "MOVED 1 ", host[REDIS_HOST_SIZE];
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = text};
    unsigned short port;

    memset(text + 8, 'h', REDIS_HOST_SIZE);
    memcpy(text + 8 + REDIS_HOST_SIZE, ":1", 3);
    ck_assert(!route_read_place(&reply, "same", host, &port));
    memcpy(text + 8 + REDIS_HOST_SIZE - 1, ":1", 3);
    ck_assert(route_read_place(&reply, "same", host, &port));
    ck_assert_uint_eq(strlen(host), REDIS_HOST_SIZE - 1);
}
END_TEST

#define LOOP(test, cases) tcase_add_loop_test(tcase, test, 0, sizeof(cases) / sizeof((cases)[0]))

int main(void)
{
    Suite *suite = suite_create("route");
    TCase *tcase = tcase_create("route");
    SRunner *runner = srunner_create(suite);
    int failed;

    LOOP(only_errors_of_a_cluster_send_elsewhere, answers);
    LOOP(a_place_is_read, places);
    tcase_add_test(tcase, a_host_that_is_too_long_is_none);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
