// Against a real redis-server, started by each test.
#include "gateway/redis/redis_pubsub.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/buf.h"
#include "common/jitter.h"
#include "common/pattern.h"
#include "tests/unit/lib/log_capture.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/relay.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

#define SMALL_LIMIT 64u

static struct ev_loop *loop;
static struct redis_server server;
static struct redis_pubsub *pubsub;
static redisContext *publisher;

// What was heard, one line an event, so that order shows: "message news 5:hello".
static struct buf heard;
static unsigned ready, down, subscribed, messages, errors;
static char last_error[256];
static uint32_t last_batch, refused_batch;

static void on_ready(void *ctx)
{
    (void)ctx;
    ready++;
}

static void on_down(void *ctx)
{
    (void)ctx;
    down++;
}

static void on_message(void *ctx, struct channel_ref channel, const char *payload, size_t len)
{
    (void)ctx;
    messages++;
    if (!buf_printf(&heard, "message %.*s %zu:", (int)channel.len, channel.name, len) ||
        !buf_append(&heard, payload, len) || !buf_append(&heard, "\n", 1))
        ck_abort_msg("out of memory");
}

static void on_too_large(void *ctx, struct channel_ref channel, size_t len)
{
    (void)ctx;
    messages++;
    if (!buf_printf(&heard, "too large %.*s %zu\n", (int)channel.len, channel.name, len))
        ck_abort_msg("out of memory");
}

static void on_subscribed(void *ctx, struct channel_ref channel)
{
    (void)ctx, (void)channel;
    subscribed++;
}

static void on_refused(void *ctx, uint32_t batch, size_t count, const char *error)
{
    (void)ctx;
    ck_assert_uint_eq(count, 1);
    refused_batch = batch;
    errors++;
    snprintf(last_error, sizeof last_error, "%s", error);
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
    redis_pubsub_destroy(pubsub);
    if (publisher)
        redisFree(publisher);
    redis_server_kill(&server);
    buf_free(&heard);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static void open_pubsub(size_t max_message)
{
    struct redis_pubsub_settings settings = {.url = &server.url,
                                             .client_name = "a-gateway",
                                             .max_message = max_message,
                                             .on_ready = on_ready,
                                             .on_down = on_down,
                                             .on_message = on_message,
                                             .on_too_large = on_too_large,
                                             .on_subscribed = on_subscribed,
                                             .on_refused = on_refused};
    pubsub = redis_pubsub_create(loop, &settings);
    ck_assert_ptr_nonnull(pubsub);
}

static void command(enum asked what, const char *channel)
{
    size_t len = strlen(channel);
    ck_assert(redis_pubsub_command(pubsub, what, &channel, &len, 1, ++last_batch));
}

static void subscribe(const char *channel)
{
    command(ASKED_SUBSCRIBE, channel);
    loop_wait_count(loop, &subscribed, subscribed + 1);
}

// A server, a connection that is ready, and one to publish with.
static void begin(const char *const *arguments, size_t max_message)
{
    redis_server_start(&server, arguments);
    publisher = redis_server_connect(&server);
    open_pubsub(max_message);
    loop_wait_count(loop, &ready, 1);
}

static long long publish(const char *channel, const void *payload, size_t len)
{
    return redis_do(publisher, "PUBLISH %s %b", channel, payload, len);
}

static void check_heard(const struct buf *expected)
{
    ck_assert_uint_eq(heard.len, expected->len);
    if (heard.len > 0)
        ck_assert_mem_eq(heard.data, expected->data, heard.len);
}

TEST(payloads_arrive_byte_for_byte)
{
    static const struct {
        const char *bytes;
        size_t len;
    } payloads[] = {{"hello", 5},
                    {"", 0},
                    {"\r\n", 2},
                    {"\r\n\r\n$3\r\nabc\r\n", 13},
                    {"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\nevil\r\n", 38},
                    {"\0\xff\0", 3},
                    {"-ERR no error\r\n", 15}};
    struct buf expected = {0};
    begin(NULL, 1024);
    subscribe("news");
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        ck_assert_int_eq(publish("news", payloads[i].bytes, payloads[i].len), 1);
        ck_assert(buf_printf(&expected, "message news %zu:", payloads[i].len));
        ck_assert(buf_append(&expected, payloads[i].bytes, payloads[i].len));
        ck_assert(buf_append(&expected, "\n", 1));
    }
    loop_wait_count(loop, &messages, sizeof payloads / sizeof *payloads);
    check_heard(&expected);
    buf_free(&expected);
}

TEST(messages_come_while_subscribed_and_no_longer)
{
    begin(NULL, 1024);
    ck_assert_int_eq(publish("news", "early", 5), 0);
    subscribe("news");
    ck_assert_int_eq(publish("news", "now", 3), 1);
    command(ASKED_UNSUBSCRIBE, "news");
    subscribe("other"); // answered after the UNSUBSCRIBE
    ck_assert_int_eq(publish("news", "late", 4), 0);
    ck_assert_int_eq(publish("other", "last", 4), 1);
    loop_wait_count(loop, &messages, 2);
    ck_assert(buf_append(&heard, "", 1));
    ck_assert_str_eq(heard.data, "message news 3:now\nmessage other 4:last\n");
}

static const size_t limits[] = {1, 63, 1000, 16384, 100000, 1 << 20};

TEST_EACH(a_message_of_the_limit_arrives_and_a_larger_one_is_told, limits)
{
    size_t limit = limits[_i], sizes[] = {limit, limit + 1, limit, 2 * limit + 7, 0, limit + 1, limit + 1};
    struct buf expected = {0};
    char *bytes = malloc(3 * limit + 8);
    begin(NULL, limit);
    subscribe("news");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(bytes, 'a' + (int)i, sizes[i]);
        publish("news", bytes, sizes[i]);
        if (sizes[i] > limit) {
            ck_assert(buf_printf(&expected, "too large news %zu\n", sizes[i]));
            continue;
        }
        ck_assert(buf_printf(&expected, "message news %zu:", sizes[i]));
        ck_assert(buf_append(&expected, bytes, sizes[i]));
        ck_assert(buf_append(&expected, "\n", 1));
    }
    loop_wait_count(loop, &messages, sizeof sizes / sizeof *sizes);
    check_heard(&expected);
    ck_assert_uint_eq(down, 0);
    buf_free(&expected);
    free(bytes);
}

// Of several events in one message each is bounded for itself, and that is not for the reader to do.
TEST(a_message_above_the_limit_arrives_where_it_holds_several_events)
{
    static const char
        several[] = "\x1eSSE/1\nfirst: 0-0\nearlier:  0123456789\ndurable: 5-2 5-1 5\n\n0123456789",
        one[] = "\x1eSSE/1\nretry: 5\nfirst: 0-0\nsome:  0123456789\ndurable: 5-1 0-0 5\n\n0123456789",
        none[] = "\x1eSSE/1\nearlier: a b 0123456789012345678901234567890123456789012345678901234567";
    const size_t size = sizeof several - 1;
    begin(NULL, 60);
    subscribe("news");
    publish("news", several, size);
    publish("news", one, sizeof one - 1);
    publish("news", none, sizeof none - 1);
    redis_do(publisher, "EVAL %s 0",
             "return redis.call('PUBLISH', 'news', '\\030SSE/1\\nearlier:  ' .. string.rep('x', 262144) .. "
             "'\\n\\n')"); // more than such a message ever has
    loop_wait_count(loop, &messages, 4);
    struct buf expected = {0};
    ck_assert(buf_printf(&expected, "message news %zu:%s\ntoo large news %zu\ntoo large news %zu\n", size,
                         several, sizeof one - 1, sizeof none - 1));
    ck_assert(buf_printf(&expected, "too large news %u\n", 7 + 10 + 262144 + 2));
    check_heard(&expected);
    buf_free(&expected);
}

static long peak_kilobytes(void)
{
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

TEST(a_message_that_is_too_large_takes_no_memory)
{
    static const char *const arguments[] = {"--client-output-buffer-limit", "pubsub 0 0 0", NULL};
    begin(arguments, 4096);
    subscribe("news");
    publish("news", "before", 6);
    loop_wait_count(loop, &messages, 1);
    long before = peak_kilobytes();
    // Made in Redis, so that it is never in this process.
    redis_do(publisher, "EVAL %s 0", "return redis.call('PUBLISH', 'news', string.rep('x', 33554432))");
    publish("news", "after", 5);
    loop_wait_count(loop, &messages, 3);
    ck_assert_int_lt(peak_kilobytes() - before, 4096);
    ck_assert(buf_append(&heard, "", 1));
    ck_assert_str_eq(heard.data, "message news 6:before\ntoo large news 33554432\nmessage news 5:after\n");
    ck_assert_uint_eq(down, 0);
}

// The same, with a relay on the way that hands on what Redis sends in pieces.
static void begin_relayed(struct relay *relay, size_t max_message)
{
    static char way[128];
    redis_server_start(&server, NULL);
    publisher = redis_server_connect(&server);
    snprintf(way, sizeof way, "%s", scratch_path("relay.sock"));
    relay_start(relay, loop, way, server.socket, 1);
    server.url.unix_path = way;
    open_pubsub(max_message);
    loop_wait_count(loop, &ready, 1);
}

// Whatever is split wherever: a message, one that is too large, the answers to commands, the greeting.
TEST_LOOP(bytes_may_be_split_anywhere, 0, 2)
{
    enum { PIECES_MAX = 48 };
    static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 66, 600, 5};
    const size_t count = sizeof sizes / sizeof *sizes;
    size_t limit = _i == 0 ? SMALL_LIMIT : 1; // less than the names of channels and of pushes, too
    struct relay relay;
    struct buf expected = {0};
    char payload[600], channel[32];
    begin_relayed(&relay, limit);
    memset(payload, 'x', sizeof payload);
    for (unsigned piece = 1; piece <= PIECES_MAX; piece++) {
        relay.piece = piece;
        snprintf(channel, sizeof channel, "channel:%u", piece);
        subscribe(channel);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(publish(channel, payload, sizes[i]), 1);
            ck_assert(sizes[i] > limit ? buf_printf(&expected, "too large %s %zu\n", channel, sizes[i])
                                       : buf_printf(&expected, "message %s %zu:%.*s\n", channel, sizes[i],
                                                    (int)sizes[i], payload));
        }
        loop_wait_count(loop, &messages, messages + (unsigned)count);
    }
    check_heard(&expected);
    ck_assert_uint_gt(relay.pieces, 3000);
    ck_assert_uint_eq(down, 0);
    buf_free(&expected);
    relay_stop(&relay);
}

TEST(a_flood_arrives_whole_and_in_order)
{
    enum { COUNT = 20000 };
    struct buf expected = {0};
    uint64_t random = 1;
    static char payload[700];
    memset(payload, 'y', sizeof payload);
    begin(NULL, 1024);
    subscribe("a"), subscribe("b");
    for (unsigned i = 0; i < COUNT; i++) {
        const char *channel = jitter_next(&random) % 2 ? "a" : "b";
        size_t len = 8 + jitter_next(&random) % (i % 50 ? 100 : 600);
        snprintf(payload, 9, "%08u", i);
        payload[8] = 'y';
        redisAppendCommand(publisher, "PUBLISH %s %b", channel, payload, len);
        if (!buf_printf(&expected, "message %s %zu:%.*s\n", channel, len, (int)len, payload))
            ck_abort_msg("out of memory");
    }
    for (unsigned i = 0; i < COUNT; i++) {
        void *reply = NULL;
        if (redisGetReply(publisher, &reply) != REDIS_OK)
            ck_abort_msg("%s", publisher->errstr);
        freeReplyObject(reply);
    }
    loop_wait_count(loop, &messages, COUNT);
    check_heard(&expected);
    buf_free(&expected);
}

TEST(as_many_channels_as_one_command_takes_are_all_subscribed)
{
    enum { COUNT = REDIS_PUBSUB_BATCH_MAX };
    static char text[COUNT][16];
    const char *names[COUNT];
    size_t lens[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        names[i] = text[i];
        lens[i] = (size_t)snprintf(text[i], sizeof text[i], "c:%zu", i);
    }
    begin(NULL, 1024);
    ck_assert(redis_pubsub_command(pubsub, ASKED_SUBSCRIBE, names, lens, COUNT, 1));
    loop_wait_count(loop, &subscribed, COUNT);
    ck_assert_int_eq(redis_info(publisher, "pubsub_channels"), COUNT);
    ck_assert_int_eq(publish("c:0", "x", 1) + publish("c:127", "x", 1) + publish("c:255", "x", 1), 3);
    loop_wait_count(loop, &messages, 3);
}

TEST(nothing_can_be_sent_before_the_connection_is_ready)
{
    const char *name = "news";
    size_t len = 4;
    redis_server_start(&server, NULL);
    open_pubsub(1024);
    ck_assert(!redis_conn_is_ready(redis_pubsub_conn(pubsub)));
    ck_assert(!redis_pubsub_command(pubsub, ASKED_SUBSCRIBE, &name, &len, 1, 1));
    loop_wait_count(loop, &ready, 1);
    ck_assert(redis_conn_is_ready(redis_pubsub_conn(pubsub)));
}

TEST(a_forbidden_channel_is_an_error_and_the_connection_goes_on)
{
    begin(NULL, 1024);
    redis_do(publisher, "ACL SETUSER default resetchannels &news");
    command(ASKED_SUBSCRIBE, "secret");
    loop_wait_count(loop, &errors, 1);
    ck_assert_ptr_nonnull(strstr(last_error, "NOPERM"));
    subscribe("news");
    ck_assert_int_eq(publish("news", "x", 1), 1);
    loop_wait_count(loop, &messages, 1);
    ck_assert_uint_eq(errors, 1);
    ck_assert_uint_eq(down, 0);
}

static bool was_pinged(void *ctx)
{
    (void)ctx;
    redisReply *reply = redisCommand(publisher, "INFO commandstats");
    ck_assert_ptr_nonnull(reply);
    const char *ping = strstr(reply->str, "cmdstat_ping:");
    bool done = ping && strstr(ping, "rejected_calls=1");
    freeReplyObject(reply);
    return done;
}

// An ACL without UNSUBSCRIBE and PING: their refusals must not pass for those of a channel.
TEST(what_is_refused_beside_a_subscription_denies_no_channel)
{
    begin(NULL, 1024);
    log_capture_start();
    subscribe("kept"), subscribe("left");
    redis_do(publisher, "ACL SETUSER default -unsubscribe -ping resetchannels &kept &left &news");
    command(ASKED_UNSUBSCRIBE, "left");
    command(ASKED_SUBSCRIBE, "secret");
    uint32_t batch = last_batch;
    command(ASKED_UNSUBSCRIBE, "left");
    subscribe("news");
    ck_assert_uint_eq(errors, 1); // of "secret" alone
    ck_assert_uint_eq(refused_batch, batch);
    ck_assert_uint_eq(log_capture_count("Redis refuses UNSUBSCRIBE to the subscriber: NOPERM"), 1);
    // Silent long enough for a PING, whose refusal comes before the answer to what follows it.
    loop_wait(loop, was_pinged, NULL);
    command(ASKED_SUBSCRIBE, "secret");
    subscribe("news");
    ck_assert_uint_eq(errors, 2);
    ck_assert_int_eq(publish("kept", "x", 1) + publish("news", "y", 1), 2);
    loop_wait_count(loop, &messages, 2);
    ck_assert_uint_eq(down, 0);
}

// No channel of a stream is that long; what comes of one must not pass for another channel's.
TEST(a_channel_with_too_long_a_name_is_not_heard)
{
    char name[CHANNEL_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    begin(NULL, 1024);
    command(ASKED_SUBSCRIBE, name);
    subscribe("news");
    ck_assert_int_eq(publish("news", "a", 1) + publish(name, "b", 1) + publish("news", "c", 1), 3);
    subscribe(name + 1); // just short enough
    ck_assert_int_eq(publish(name + 1, "d", 1), 1);
    loop_wait_count(loop, &messages, 3);
    ck_assert_uint_eq(subscribed, 2);
    ck_assert_int_eq(strncmp(heard.data, "message news 1:a\nmessage news 1:c\nmessage nnnn", 46), 0);
}

static bool has_tried(void *ctx)
{
    return redis_info(publisher, "total_connections_received") >= *(long long *)ctx;
}

static const struct {
    const char *user, *password;
    const char *said;
    const char *cure; // a command for Redis
} refused[] = {
    {NULL, "wrong", "Redis refuses: WRONGPASS", "CONFIG SET requirepass wrong"},
    {"nobody", "secret", "Redis refuses: WRONGPASS", "ACL SETUSER nobody on >secret +@all allchannels"},
    {NULL, NULL, "Redis refuses: NOAUTH", "ACL SETUSER default nopass"},
};

TEST_EACH(a_refused_login_is_said_once_however_often_it_is_tried, refused)
{
    static const char *const arguments[] = {"--requirepass", "secret", NULL};
    redis_server_start(&server, arguments);
    publisher = redis_server_connect(&server);
    redis_do(publisher, "AUTH secret");
    server.url.user = (char *)(uintptr_t)refused[_i].user;
    server.url.password = (char *)(uintptr_t)refused[_i].password;
    log_capture_start();
    open_pubsub(1024);
    long long tries = redis_info(publisher, "total_connections_received") + 3;
    loop_wait(loop, has_tried, &tries);
    ck_assert_uint_eq(log_capture_count(refused[_i].said), 1);
    ck_assert_uint_eq(log_capture_count("subscriber connection"), 1);
    ck_assert_uint_eq(log_capture_count("secret"), 0);
    ck_assert_uint_eq(ready, 0);
    ck_assert_uint_eq(down, 0); // it never was up
    // Put right in Redis, it works without a restart, and that is said, too.
    redis_do(publisher, refused[_i].cure);
    loop_wait_count(loop, &ready, 1);
    subscribe("news");
    ck_assert_uint_eq(log_capture_count("is up"), 1);
}

static bool client_is_listed(void *ctx)
{
    redisReply *reply = redisCommand(publisher, "CLIENT LIST");
    ck_assert(reply && reply->type == REDIS_REPLY_STRING);
    bool listed = strstr(reply->str, ctx) != NULL;
    freeReplyObject(reply);
    return listed;
}

TEST(user_password_database_and_name_are_told_to_redis)
{
    static const char *const arguments[] = {"--user", "gateway", "on",    ">pass&word",
                                            "~*",     "&*",      "+@all", NULL};
    server.url.user = (char *)(uintptr_t) "gateway";
    server.url.password = (char *)(uintptr_t) "pass&word";
    server.url.db = 3;
    begin(arguments, 1024);
    ck_assert(client_is_listed((char *)(uintptr_t) " name=a-gateway "));
    ck_assert(client_is_listed((char *)(uintptr_t) " db=3 "));
    ck_assert(client_is_listed((char *)(uintptr_t) " user=gateway "));
}

TEST(a_database_that_is_not_there_is_said)
{
    log_capture_start();
    redis_server_start(&server, NULL);
    publisher = redis_server_connect(&server);
    server.url.db = 99;
    open_pubsub(1024);
    long long tries = redis_info(publisher, "total_connections_received") + 2;
    loop_wait(loop, has_tried, &tries);
    ck_assert_uint_eq(log_capture_count("Redis refuses: ERR DB index is out of range"), 1);
}

TEST(a_killed_server_is_told_and_found_again)
{
    log_capture_start();
    begin(NULL, 1024);
    subscribe("news");
    redisFree(publisher);
    redis_server_kill(&server);
    loop_wait_count(loop, &down, 1);
    ck_assert(!redis_conn_is_ready(redis_pubsub_conn(pubsub)));
    ck_assert_uint_eq(ready, 1);
    redis_server_start(&server, NULL);
    loop_wait_count(loop, &ready, 2);
    ck_assert_uint_eq(down, 1);
    ck_assert_uint_eq(log_capture_count("trying again until it works"), 1);
    publisher = redis_server_connect(&server);
    ck_assert_int_eq(publish("news", "x", 1), 0); // subscribing again is the owner's part
    subscribe("news");
    ck_assert_uint_eq(log_capture_count("is up"), 2);
    ck_assert_int_eq(publish("news", "y", 1), 1);
    loop_wait_count(loop, &messages, 1);
}

TEST(a_server_that_comes_late_is_found)
{
    redis_server_start(&server, NULL); // once, for its address
    redis_server_kill(&server);
    log_capture_start();
    open_pubsub(1024);
    while (log_capture_count("trying again until it works") == 0)
        ev_run(loop, EVRUN_ONCE);
    redis_server_start(&server, NULL);
    loop_wait_count(loop, &ready, 1);
    ck_assert_uint_eq(down, 0);
    ck_assert_uint_eq(log_capture_count("trying again until it works"), 1);
}

// A message cut off by the end of a connection must not be part of what the next one brings, and what was
// still to be skipped of one that is too large must not be skipped there.
TEST_LOOP(half_a_message_is_forgotten_with_its_connection, 0, 2)
{
    static char payload[3000];
    size_t len = _i == 0 ? 30 : sizeof payload;
    struct relay relay;
    memset(payload, 'p', sizeof payload);
    begin_relayed(&relay, 1024);
    subscribe("news");
    for (size_t cut = 1; cut < 60; cut += 7) {
        unsigned before = relay.pieces;
        relay.piece = cut;
        ck_assert_int_eq(publish("news", payload, len), 1);
        loop_wait_count(loop, &relay.pieces, before + 2); // so the first has been read
        redis_conn_replace(redis_pubsub_conn(pubsub), "a test");
        buf_clear(&heard); // that the large one is too large may be known already
        relay.piece = 1000;
        loop_wait_count(loop, &ready, ready + 1);
        subscribe("news");
        ck_assert_int_eq(publish("news", "whole", 5), 1);
        loop_wait_count(loop, &messages, messages + 1);
        ck_assert_mem_eq(heard.data, "message news 5:whole\n", heard.len);
    }
    relay_stop(&relay);
}

TEST(commands_are_lost_with_their_connection)
{
    begin(NULL, 1024);
    command(ASKED_SUBSCRIBE, "news");
    redis_conn_replace(redis_pubsub_conn(pubsub), "a test"); // in the same turn: nothing has been sent
    loop_wait_count(loop, &ready, 2);
    subscribe("other");
    ck_assert_uint_eq(subscribed, 1);
    ck_assert_int_eq(redis_info(publisher, "pubsub_channels"), 1);
}

TEST(a_connection_that_is_replaced_is_told_as_down_and_ready)
{
    begin(NULL, 1024);
    redis_conn_replace(redis_pubsub_conn(pubsub), "a test");
    ck_assert_uint_eq(down, 1);
    ck_assert(!redis_conn_is_ready(redis_pubsub_conn(pubsub)));
    redis_conn_replace(redis_pubsub_conn(pubsub), "a test"); // there is none to replace
    ck_assert_uint_eq(down, 1);
    loop_wait_count(loop, &ready, 2);
}
