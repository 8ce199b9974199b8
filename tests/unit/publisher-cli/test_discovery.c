#include "publisher-cli/discovery.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    int type;
    char *text;
    enum redirection redirection;
} answers[] = {
    {REDIS_REPLY_ERROR, "MOVED 3999 127.0.0.1:6381", REDIRECTION_MOVED},
    {REDIS_REPLY_ERROR, "ASK 3999 127.0.0.1:6381", REDIRECTION_ASK},
    {REDIS_REPLY_ERROR, "TRYAGAIN Multiple keys request during rehashing of slot", REDIRECTION_LATER},
    {REDIS_REPLY_ERROR, "CLUSTERDOWN The cluster is down", REDIRECTION_LATER},
    {REDIS_REPLY_ERROR, "ERR MOVED 1 a:1", REDIRECTION_NONE},
    {REDIS_REPLY_ERROR, "ASKING is something else", REDIRECTION_NONE},
    {REDIS_REPLY_STRING, "MOVED 3999 127.0.0.1:6381", REDIRECTION_NONE},
    {REDIS_REPLY_INTEGER, NULL, REDIRECTION_NONE},
};

TEST_EACH(only_errors_of_a_cluster_send_elsewhere, answers)
{
    redisReply reply = {.type = answers[_i].type, .str = answers[_i].text};

    ck_assert_int_eq(discovery_redirection(&reply), answers[_i].redirection);
}

static const struct {
    char *text;
    const char *host; // NULL: makes no sense
    unsigned short port;
} addresses[] = {
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

TEST_EACH(an_address_is_read, addresses)
{
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = addresses[_i].text};
    char host[REDIS_HOST_SIZE];
    unsigned short port = 0;

    ck_assert_int_eq(discovery_read_address(&reply, "same", host, &port), addresses[_i].host != NULL);
    if (addresses[_i].host) {
        ck_assert_str_eq(host, addresses[_i].host);
        ck_assert_uint_eq(port, addresses[_i].port);
    }
}

TEST(a_host_that_is_too_long_is_none)
{
    char text[REDIS_HOST_SIZE + 32] = "MOVED 1 ", host[REDIS_HOST_SIZE];
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = text};
    unsigned short port;

    memset(text + 8, 'h', REDIS_HOST_SIZE);
    memcpy(text + 8 + REDIS_HOST_SIZE, ":1", 3);
    ck_assert(!discovery_read_address(&reply, "same", host, &port));
    memcpy(text + 8 + REDIS_HOST_SIZE - 1, ":1", 3);
    ck_assert(discovery_read_address(&reply, "same", host, &port));
    ck_assert_uint_eq(strlen(host), REDIS_HOST_SIZE - 1);
}
