// Answers of sentinels, as bytes: what is in them, and what must not be taken for an address.
#include "gateway/redis/sentinel_reply.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

// The reply that such bytes are; the test frees it.
static redisReply *reply_of(const char *bytes)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    ck_assert_int_eq(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    ck_assert_msg(reply != NULL, "not whole: %s", bytes);
    redisReaderFree(reader);
    return reply;
}

static const struct {
    const char *bytes;
    enum sentinel_verdict verdict;
    const char *host;
    unsigned port;
} addresses[] = {
    {"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", SENTINEL_FOUND, "127.0.0.1", 6379},
    {"*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", SENTINEL_FOUND, "::1", 65535},
    {"*2\r\n$13\r\nredis.example\r\n$1\r\n1\r\n", SENTINEL_FOUND, "redis.example", 1},
    {"*-1\r\n", SENTINEL_UNKNOWN_NAME, "", 0},
    {"$-1\r\n", SENTINEL_UNKNOWN_NAME, "", 0},
    {"*0\r\n", SENTINEL_UNKNOWN_NAME, "", 0},
    {"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$1\r\nh\r\n$1\r\n0\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$1\r\nh\r\n$5\r\n65536\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$1\r\nh\r\n$2\r\n-1\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$1\r\nh\r\n$4\r\n637x\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$-1\r\n$4\r\n6379\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"*2\r\n$1\r\nh\r\n:6379\r\n", SENTINEL_NO_ADDRESS, "", 0},
    {"-NOAUTH Authentication required.\r\n", SENTINEL_REFUSES, "", 0},
};

TEST_EACH(an_address_is_read_or_it_is_known_why_not, addresses)
{
    struct sentinel_master master;
    memset(&master, 'x', sizeof master);
    redisReply *reply = reply_of(addresses[_i].bytes);
    ck_assert_int_eq(sentinel_read_address(reply, &master), addresses[_i].verdict);
    ck_assert_str_eq(master.address.host, addresses[_i].host);
    if (addresses[_i].verdict == SENTINEL_FOUND)
        ck_assert_uint_eq(master.address.port, addresses[_i].port);
    ck_assert_uint_eq(master.epoch, 0);
    freeReplyObject(reply);
}

TEST(a_host_that_is_too_long_is_no_address)
{
    char bytes[512], host[300];
    memset(host, 'h', sizeof host);
    for (size_t len = 250; len < 260; len++) {
        struct sentinel_master master;
        snprintf(bytes, sizeof bytes, "*2\r\n$%zu\r\n%.*s\r\n$4\r\n6379\r\n", len, (int)len, host);
        redisReply *reply = reply_of(bytes);
        ck_assert_int_eq(sentinel_read_address(reply, &master),
                         len < REDIS_HOST_SIZE ? SENTINEL_FOUND : SENTINEL_NO_ADDRESS);
        freeReplyObject(reply);
    }
}

#define AT "$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$4\r\n6379\r\n"

static const struct {
    const char *bytes;
    enum sentinel_verdict verdict;
    unsigned epoch;
} details[] = {
    {"*6\r\n" AT "$12\r\nconfig-epoch\r\n$2\r\n17\r\n", SENTINEL_FOUND, 17},
    {"*6\r\n$12\r\nconfig-epoch\r\n$1\r\n3\r\n" AT, SENTINEL_FOUND, 3},
    {"*6\r\n" AT "$13\r\nrole-reported\r\n$5\r\nslave\r\n", SENTINEL_IS_REPLICA, 0},
    {"*6\r\n" AT "$13\r\nrole-reported\r\n$6\r\nmaster\r\n", SENTINEL_FOUND, 0},
    // About another address than the one that was named: the middle of a failover.
    {"*6\r\n$2\r\nip\r\n$1\r\ng\r\n$4\r\nport\r\n$4\r\n6379\r\n$13\r\nrole-reported\r\n$5\r\nslave\r\n",
     SENTINEL_FOUND, 0},
    {"*3\r\n$12\r\nconfig-epoch\r\n$1\r\n3\r\n$12\r\nconfig-epoch\r\n", SENTINEL_FOUND, 3},
    {"*1\r\n$12\r\nconfig-epoch\r\n", SENTINEL_FOUND, 0},
    {"*2\r\n$12\r\nconfig-epoch\r\n:3\r\n", SENTINEL_FOUND, 0},
    {"*0\r\n", SENTINEL_FOUND, 0},
    {"-ERR No such master with that name\r\n", SENTINEL_FOUND, 0},
};

TEST_EACH(the_epoch_of_an_address_and_a_master_that_is_a_replica, details)
{
    struct sentinel_master master = {.address = {.host = "h", .port = 6379}, .epoch = 99};
    redisReply *reply = reply_of(details[_i].bytes);
    ck_assert_int_eq(sentinel_read_details(reply, &master), details[_i].verdict);
    ck_assert_uint_eq(master.epoch, details[_i].epoch);
    ck_assert_str_eq(master.address.host, "h");
    freeReplyObject(reply);
}

static const struct {
    const char *message;
    bool ours;
} switches[] = {
    {"main 10.0.0.1 1 10.0.0.2 2", true},
    {"main2 10.0.0.1 1 10.0.0.2 2", false},
    {"mai 10.0.0.1 1 10.0.0.2 2", false},
    {"main 10.0.0.1 1 10.0.0.2", false},
    {"main", false},
    {"", false},
    {"main 10.0.0.1 1 10.0.0.2 0", false},
    {"main 10.0.0.1 1 10.0.0.2 2000000000", false},
};

TEST_EACH(a_switch_of_the_master_is_read_if_it_is_ours, switches)
{
    struct sentinel_master master;
    char bytes[256];
    snprintf(bytes, sizeof bytes, "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
             strlen(switches[_i].message), switches[_i].message);
    redisReply *reply = reply_of(bytes);
    ck_assert_int_eq(sentinel_read_switch(reply, "main", &master), switches[_i].ours);
    if (switches[_i].ours) {
        ck_assert_str_eq(master.address.host, "10.0.0.2");
        ck_assert_uint_eq(master.address.port, 2);
    }
    freeReplyObject(reply);
}

TEST(other_pushes_are_no_switch)
{
    static const char *const pushes[] = {"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n",
                                         "+PONG\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "-ERR\r\n"};
    struct sentinel_master master;
    for (size_t i = 0; i < sizeof pushes / sizeof *pushes; i++) {
        redisReply *reply = reply_of(pushes[i]);
        ck_assert(!sentinel_read_switch(reply, "main", &master));
        freeReplyObject(reply);
    }
}
