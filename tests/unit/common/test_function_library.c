#include "common/function_library.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct redis_server server;
static redisContext *redis;

static void setup(void)
{
    redis_server_start(&server, NULL);
    redis = redis_server_connect(&server);
}

static void teardown(void)
{
    redisFree(redis);
    redis_server_kill(&server);
}

START_TEST(redis_takes_the_library_and_it_knows_its_version)
{
    (void)redis_do(redis, "FUNCTION LOAD %s", function_library_text);
    ck_assert_int_eq(redis_do(redis, "FCALL_RO sse_version 0"), function_library_version);
}
END_TEST

START_TEST(redis_computes_the_same_name_for_the_script)
{
    redisReply *reply = redisCommand(redis, "SCRIPT LOAD %s", function_library_script());

    ck_assert_ptr_nonnull(reply);
    ck_assert_str_eq(reply->str, function_library_script_sha1);
    freeReplyObject(reply);
    // No arguments at all: an error of the script's own shows that it runs.
    reply = redisCommand(redis, "EVALSHA %s 0", function_library_script_sha1);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
    ck_assert_msg(strncmp(reply->str, "ERR sse_publish: wrong number of arguments", 42) == 0, "%s",
                  reply->str);
    freeReplyObject(reply);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("function_library");
    TCase *tcase = tcase_create("function_library");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_unchecked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, redis_takes_the_library_and_it_knows_its_version);
    tcase_add_test(tcase, redis_computes_the_same_name_for_the_script);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
