#include "common/function_library.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/scratch.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

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

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

TEST(redis_takes_the_library_and_it_knows_its_version)
{
    (void)redis_do(redis, "FUNCTION LOAD %s", function_library_text);
    ck_assert_int_eq(redis_do(redis, "FCALL_RO sse_version 0"), function_library_version);
}

TEST(redis_computes_the_same_name_for_the_script)
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
