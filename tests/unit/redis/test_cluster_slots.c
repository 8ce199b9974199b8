// Slots of channels, maps of slots from what CLUSTER SLOTS answers, and what the errors of a cluster say.
#include "gateway/redis/cluster_slots.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static uint16_t slot(const char *name)
{
    return cluster_slot(name, strlen(name));
}

// What CLUSTER KEYSLOT of Redis 7.0.15 says; 12739 is in the cluster specification, too.
TEST(slots_are_those_of_redis)
{
    static const struct {
        const char *name;
        uint16_t slot;
    } known[] = {
        {"123456789", 12739},
        {"foo", 12182},
        {"user:42", 15880},
        {"news", 5161},
        {"a", 15495},
        {"{user1000}.following", 3443},
        {"{user1000}.followers", 3443},
        {"user1000", 3443},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"foo{bar}{zap}", 5061},
        {"{", 4092},
        {"}{", 12793},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_msg(slot(known[i].name) == known[i].slot, "%s: %u", known[i].name, slot(known[i].name));
    ck_assert_uint_eq(cluster_slot("", 0), 0);
    ck_assert_uint_eq(cluster_slot("foobar", 3), 12182); // no terminator is needed
}

TEST(the_stream_of_a_channel_has_the_channels_slot)
{
    ck_assert_uint_eq(slot("sse:{user:42}"), slot("user:42"));
}

TEST_LOOP(there_is_a_tag_for_every_slot, 96, 97)
{
    for (unsigned i = 0; i < CLUSTER_SLOTS; i += _i + 1) {
        char tag[CLUSTER_TAG_MAX], name[64];
        cluster_slot_tag((uint16_t)i, tag);
        snprintf(name, sizeof name, "sse:canary:{%s}:0123456789abcdef", tag);
        ck_assert_uint_eq(slot(name), i);
    }
}

// The answer to CLUSTER SLOTS, read by hiredis from its bytes.
static redisReply *reply_of(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    ck_assert_int_eq(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    ck_assert_int_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    ck_assert_ptr_nonnull(reply);
    redisReaderFree(reader);
    return reply;
}

#define TEXT(host, len) "$" #len "\r\n" host "\r\n"
#define NODE(host, port) "*4\r\n" host ":" #port "\r\n$2\r\nid\r\n*0\r\n"
#define A NODE(TEXT("10.0.0.1", 8), 6379)
#define B NODE(TEXT("10.0.0.2", 8), 6379)
#define C NODE(TEXT("10.0.0.2", 8), 6380)

static bool read_slots(struct cluster_slots *s, const char *bytes)
{
    redisReply *reply = reply_of(bytes);
    bool ok = cluster_slots_read(s, reply, "asked.example");
    freeReplyObject(reply);
    return ok;
}

static const char *owner(const struct cluster_slots *s, size_t of)
{
    static char text[300];
    const struct redis_address *node = cluster_slots_owner(s, of);
    if (!node)
        return "nobody";
    snprintf(text, sizeof text, "%s:%u", node->host, node->port);
    return text;
}

TEST(a_map_tells_who_owns_what)
{
    struct cluster_slots s;
    ck_assert(read_slots(&s, "*3\r\n*4\r\n:0\r\n:99\r\n" A B "*3\r\n:100\r\n:100\r\n" C
                             "*3\r\n:102\r\n:16383\r\n" A));
    ck_assert_uint_eq(s.node_count, 3);
    ck_assert_str_eq(owner(&s, 0), "10.0.0.1:6379");
    ck_assert_str_eq(owner(&s, 99), "10.0.0.1:6379");
    ck_assert_str_eq(owner(&s, 100), "10.0.0.2:6380");
    ck_assert_str_eq(owner(&s, 101), "nobody");
    ck_assert_str_eq(owner(&s, 16383), "10.0.0.1:6379");
    ck_assert_str_eq(s.nodes[1].host, "10.0.0.2"); // the replica
    ck_assert_uint_eq(s.nodes[1].port, 6379);
    cluster_slots_deinit(&s);
}

TEST(a_node_without_a_host_is_where_it_was_asked_and_one_that_nobody_can_find_is_left_out)
{
    struct cluster_slots s;
    ck_assert(read_slots(&s, "*3\r\n*3\r\n:0\r\n:1\r\n" NODE("$-1\r\n", 7000) "*3\r\n:2\r\n:2\r\n" NODE(
                                 TEXT("", 0), 7001) "*3\r\n:3\r\n:3\r\n" NODE(TEXT("?", 1), 7002)));
    ck_assert_str_eq(owner(&s, 1), "asked.example:7000");
    ck_assert_str_eq(owner(&s, 2), "asked.example:7001");
    ck_assert_str_eq(owner(&s, 3), "nobody");
    cluster_slots_deinit(&s);
}

TEST(answers_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {
        "+OK\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n" A,
        "*1\r\n*3\r\n:-1\r\n:5\r\n" A,
        "*1\r\n*3\r\n$1\r\n0\r\n:5\r\n" A,
        "*1\r\n*3\r\n:0\r\n:5\r\n*1\r\n$1\r\na\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\na\r\n:65536\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n:1\r\n:6379\r\n",
        "*2\r\n*3\r\n:0\r\n:5\r\n" A ":7\r\n", // nothing leaks
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cluster_slots s;
        ck_assert_msg(!read_slots(&s, bad[i]), "%s", bad[i]);
    }
    struct cluster_slots s;
    ck_assert(read_slots(&s, "*0\r\n"));
    ck_assert_uint_eq(s.node_count, 0);
    cluster_slots_deinit(&s);
}

TEST(a_difference_is_what_has_another_owner_wherever_nodes_stand_in_the_list)
{
    struct cluster_slots before, after, none;
    cluster_slots_init(&none);
    ck_assert(read_slots(&before, "*2\r\n*3\r\n:0\r\n:99\r\n" A "*3\r\n:100\r\n:199\r\n" B));
    ck_assert(read_slots(&after,
                         "*3\r\n*3\r\n:90\r\n:199\r\n" B "*3\r\n:0\r\n:89\r\n" A "*3\r\n:200\r\n:200\r\n" C));
    ck_assert_uint_eq(cluster_slots_diff(&before, &after), 11);
    ck_assert_uint_eq(cluster_slots_diff(&before, &before), 0);
    ck_assert_uint_eq(cluster_slots_diff(&none, &before), 200);
    ck_assert_uint_eq(cluster_slots_diff(&before, &none), 200);
    cluster_slots_deinit(&before);
    cluster_slots_deinit(&after);
}

TEST(moved_says_which_slot_and_where)
{
    struct cluster_moved m;
    ck_assert(cluster_moved_parse("MOVED 3999 127.0.0.1:6381", "10.0.0.9", &m));
    ck_assert_uint_eq(m.slot, 3999);
    ck_assert_str_eq(m.to.host, "127.0.0.1");
    ck_assert_uint_eq(m.to.port, 6381);
    ck_assert(cluster_moved_parse("MOVED 0 fd00::1:6379", "10.0.0.9", &m));
    ck_assert_str_eq(m.to.host, "fd00::1");
    ck_assert(cluster_moved_parse("MOVED 16383 :6379", "10.0.0.9",
                                  &m)); // no endpoint: that of the node that says so
    ck_assert_str_eq(m.to.host, "10.0.0.9");
    static const char *const bad[] = {"MOVED",         "MOVED ",    "MOVED x a:1",     "MOVED 16384 a:1",
                                      "MOVED -1 a:1",  "MOVED 1 a", "MOVED 1 a:0",     "MOVED 1 a:65536",
                                      "MOVED 1 a:1 b", "ASK 1 a:1", "ERR MOVED 1 a:1", "MOVED 1:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!cluster_moved_parse(bad[i], "10.0.0.9", &m), "%s", bad[i]);
    ck_assert(cluster_ask_parse("ASK 3999 127.0.0.1:6381", "10.0.0.9", &m));
    ck_assert_uint_eq(m.slot, 3999);
    ck_assert_str_eq(m.to.host, "127.0.0.1");
    ck_assert_uint_eq(m.to.port, 6381);
    ck_assert(!cluster_ask_parse("MOVED 3999 127.0.0.1:6381", "10.0.0.9", &m));
    ck_assert(!cluster_ask_parse("ASK 3999", "10.0.0.9", &m));
    char long_host[400] = "MOVED 1 ";
    memset(long_host + 8, 'a', REDIS_HOST_SIZE);
    strcpy(long_host + 8 + REDIS_HOST_SIZE, ":1");
    ck_assert(!cluster_moved_parse(long_host, "10.0.0.9", &m));
}

TEST(errors_of_a_cluster_that_changes_pass_and_others_do_not)
{
    ck_assert(cluster_error_passes("MOVED 1 a:1"));
    ck_assert(cluster_error_passes("ASK 1 a:1"));
    ck_assert(cluster_error_passes("TRYAGAIN Multiple keys request during rehashing of slot"));
    ck_assert(cluster_error_passes("CLUSTERDOWN The cluster is down"));
    ck_assert(!cluster_error_passes("NOPERM this user has no permissions"));
    ck_assert(!cluster_error_passes("CROSSSLOT Keys in request don't hash to the same slot"));
}
