// How far the history of a channel has got, read from a real redis-server for several workers. The test plays
// the node, which subscribes, and the workers; between it and the server stands a relay that holds
// answers back, so that much can happen between a query's answer and its arrival.
#include "gateway/bus/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/function_library.h"
#include "common/log.h"
#include "common/map.h"
#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/redis_server.h"
#include "tests/unit/lib/relay.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

enum { WORKERS = 3, WORDS = 256 };

static struct ev_loop *loop;
static ev_timer looking; // at what the server says of itself
static struct redis_server server;
static redisContext *publisher;
static struct relay relay;
static struct channels all;
static struct node node, other;
static struct bus_env env;
static struct counters counters;
static struct payload_policy policy;
static struct delivery *delivery;
static struct busy_channels busy; // nobody watches
static struct node *home;         // that reads the histories by now

static struct worker_heard {
    struct mailbox *box;
    char words[WORDS]; // of channel a: "1 none 3", offsets of its last event
    unsigned markers;  // confirmations of channel z
} workers[WORKERS];

static void on_mail(void *ctx, const struct mail *mail, bool more)
{
    (void)more;
    struct worker_heard *w = ctx;
    ck_assert_uint_eq(mail->kind, MAIL_CONFIRMED);
    const struct channel_mail *n = mail->channel;
    if (n->name[0] == 'z') {
        w->markers++;
    } else {
        size_t len = strlen(w->words);
        char word[32] = "none";
        if (n->tail.has_history)
            snprintf(word, sizeof word, "%u", (unsigned)n->tail.last.offset);
        snprintf(w->words + len, sizeof w->words - len, "%s%s", len ? " " : "", word);
    }
    free(mail->channel);
}

static void on_looking(struct ev_loop *l, ev_timer *w, int events)
{
    (void)l, (void)w, (void)events;
}

static void open_workers(void)
{
    static struct mailbox *boxes[WORKERS];
    for (size_t w = 0; w < WORKERS; w++) {
        workers[w].box = boxes[w] = mailbox_create(
            loop, false, 1 << 20, &(struct mailbox_hooks){.on_mail = on_mail, .ctx = &workers[w]});
        ck_assert_ptr_nonnull(boxes[w]);
    }
    delivery = calloc(1, sizeof *delivery);
    ck_assert_ptr_nonnull(delivery);
    *delivery = (struct delivery){.channels = &all,
                                  .counters = &counters,
                                  .payload = &policy,
                                  .busy = &busy,
                                  .workers = boxes,
                                  .worker_count = WORKERS};
}

static struct node *on_home(const struct cluster *cl, struct channel_ref channel)
{
    (void)cl;
    ck_assert_uint_eq(channel.len, 1);
    return home;
}

static void open_node(struct node *n, const struct redis_url *url)
{
    *n = (struct node){.env = &env, .url = url};
    ck_assert(resume_open(n));
}

static void open_other(void)
{
    open_node(&other, &server.url);
    home = &other;
}

static void setup(void)
{
    static char socket[128];
    static struct redis_url url = {.kind = REDIS_URL_UNIX, .unix_path = socket};
    log_set_level(LOG_LEVEL_ERROR);
    ck_assert(map_seed());
    loop = ev_loop_new(EVFLAG_AUTO);
    ev_timer_init(&looking, on_looking, 0.005, 0.005);
    ev_timer_start(loop, &looking);
    redis_server_start(&server, NULL);
    publisher = redis_server_connect(&server);
    redis_do(publisher, "FUNCTION LOAD %s", function_library_text);
    snprintf(socket, sizeof socket, "%s", scratch_path("relay.sock"));
    relay_start(&relay, loop, socket, server.socket, 65536);
    static const char *const durable[] = {"a", "z"};
    channels_init(&all);
    open_workers();
    env = (struct bus_env){.loop = loop,
                           .channels = &all,
                           .delivery = delivery,
                           .counters = &counters,
                           .client_name = "a-gateway",
                           .max_message = 1024,
                           .durable = durable,
                           .durable_count = 2,
                           .owner = on_home};
    home = &node;
    open_node(&node, &url);
    node_channels_init(&node.channels, &all);
}

static void teardown(void)
{
    history_destroy(node.history);
    for (size_t w = 0; w < WORKERS; w++)
        mailbox_destroy(workers[w].box);
    free(delivery);
    channels_deinit(&all);
    relay_stop(&relay);
    redisFree(publisher);
    redis_server_kill(&server);
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = setup,
           .teardown = teardown);

static struct bus_channel *come(unsigned worker, const char *channel)
{
    const struct channel_ref ref = channel_ref(channel, 1);
    struct bus_channel *i = channels_want(&all, worker, ref, 0);
    ck_assert_ptr_nonnull(i);
    if (!i->node)
        channel_move(&all, i, &node.channels);
    return i;
}

static void leave(unsigned worker)
{
    const struct channel_ref ref = channel_ref("a", 1);
    channels_unwant(&all, worker, ref, UINT64_MAX);
}

// Redis confirms what is wanted and not subscribed.
static void subscribe(void)
{
    struct bus_channel *batch[4];
    size_t n = node_channels_take_batch(&node.channels, batch, 4);
    for (size_t k = 0; k < n; k++) {
        const struct channel_ref ref = channel_ref_of(&batch[k]->entry);
        struct bus_channel *i = node_channels_confirm(&node.channels, ref);
        ck_assert_ptr_nonnull(i);
        resume_confirm(&node, i);
    }
}

// A worker comes to the channel that is subscribed, or wants to hear once more.
static void come_later(unsigned worker)
{
    resume_confirm_workers(&node, UINT64_C(1) << worker, come(worker, "a"));
}

// How many queries have been asked and answered by Redis.
static long long answered(void)
{
    static const char field[] = "cmdstat_xrevrange:calls=";
    redisReply *reply = redisCommand(publisher, "INFO commandstats");
    ck_assert_ptr_nonnull(reply);
    const char *at = strstr(reply->str, field);
    long long n = at ? atoll(at + sizeof field - 1) : 0;
    freeReplyObject(reply);
    return n;
}

static long long answered_before;

static void publish(void)
{
    redis_do(publisher, "FCALL sse_publish 1 a x");
    answered_before++; // the function looks for the last event, too
}

static bool has_answered(void *ctx)
{
    return answered() - answered_before >= *(int *)ctx;
}

static void wait_answered(int n)
{
    loop_wait(loop, has_answered, &n);
    ck_assert_int_eq(answered() - answered_before, n);
}

static bool has_heard(void *ctx)
{
    return ((struct worker_heard *)ctx)->words[0] != '\0';
}

static bool has_marker(void *ctx)
{
    return workers[0].markers == *(unsigned *)ctx;
}

// What worker `w` has heard of channel a once all that is on its way has arrived.
static const char *heard(unsigned w)
{
    unsigned markers = workers[0].markers + 1;
    struct bus_channel *z = come(0, "z");
    if (z->state == CHANNEL_ACTIVE)
        resume_confirm(&node, z);
    else
        subscribe();
    loop_wait(loop, has_marker, &markers);
    return workers[w].words;
}

static bool is_connected(void *ctx)
{
    (void)ctx;
    return ev_is_active(&relay.server);
}

static bool is_unasked(void *ctx)
{
    return ((const struct bus_channel *)ctx)->query.number == 0;
}

static void hold_answers(void)
{
    (void)heard(0); // so that there is a connection, and nothing on its way
    loop_wait(loop, is_connected, NULL);
    ev_io_stop(loop, &relay.server);
    answered_before = answered();
}

static void release_answers(void)
{
    ev_io_start(loop, &relay.server);
}

// Worker 0's query was answered after the first event, but that has not arrived yet.
static void ask_and_hold(void)
{
    publish();
    hold_answers();
    come(0, "a");
    subscribe();
    wait_answered(1);
}

static void wait_heard(unsigned w)
{
    loop_wait(loop, has_heard, &workers[w]);
}

TEST(one_question_speaks_for_all_workers)
{
    publish();
    hold_answers();
    for (unsigned w = 0; w < WORKERS; w++)
        come(w, "a");
    subscribe();
    release_answers();
    for (unsigned w = 0; w < WORKERS; w++)
        wait_heard(w);
    ck_assert_int_eq(answered() - answered_before, 1);
    for (unsigned w = 0; w < WORKERS; w++)
        ck_assert_str_eq(heard(w), "1");
}

TEST(who_comes_while_a_question_is_on_its_way_gets_an_answer_that_was_asked_for_later)
{
    ask_and_hold();
    publish();
    come_later(1);
    come_later(2);
    release_answers();
    for (unsigned w = 0; w < WORKERS; w++)
        wait_heard(w);
    ck_assert_int_eq(answered() - answered_before, 2); // one more, for both
    ck_assert_str_eq(heard(0), "1");
    ck_assert_str_eq(heard(1), "2");
    ck_assert_str_eq(heard(2), "2");
}

TEST(nobody_asks_while_a_question_is_on_its_way)
{
    ask_and_hold();
    for (int n = 0; n < 100; n++)
        come_later((unsigned)n % WORKERS);
    ck_assert_uint_eq(env.position_queries, 2); // the marker's is the other one
    release_answers();
    wait_heard(2);
    ck_assert_uint_eq(env.position_queries, 3);
    ck_assert_int_eq(answered() - answered_before, 2);
}

TEST(who_wants_to_hear_once_more_does_not_hear_the_older_answer)
{
    ask_and_hold();
    publish();
    come_later(0);
    release_answers();
    wait_heard(0);
    ck_assert_str_eq(heard(0), "2");
}

TEST(an_answer_of_before_a_resubscription_is_not_taken)
{
    ask_and_hold();
    come_later(1);
    node_channels_reset(&node.channels);
    publish();
    subscribe();
    release_answers();
    wait_heard(0);
    ck_assert_uint_eq(env.position_queries, 4); // two of them for the marker, which was subscribed anew, too
    ck_assert_str_eq(heard(0), "2");
    ck_assert_str_eq(heard(1), "2");
}

TEST(an_answer_that_comes_before_the_resubscription_is_not_taken)
{
    ask_and_hold();
    node_channels_reset(&node.channels);
    release_answers();
    loop_wait(loop, is_unasked, come(0, "a"));
    ck_assert_str_eq(workers[0].words, "");
    publish();
    subscribe();
    wait_heard(0);
    ck_assert_str_eq(heard(0), "2");
}

TEST(a_new_connection_asks_anew_what_the_old_one_has_not_answered)
{
    ask_and_hold();
    publish();
    history_reconnect(node.history);
    wait_heard(0);
    ck_assert_str_eq(heard(0), "2");
}

TEST(what_a_node_that_goes_has_not_answered_is_answered_by_the_one_that_has_the_channel)
{
    ask_and_hold();
    publish();
    come_later(1);
    open_other();
    history_destroy(node.history);
    node.history = other.history;
    wait_heard(0);
    wait_heard(1);
    ck_assert_str_eq(heard(0), "2");
    ck_assert_str_eq(heard(1), "2");
}

TEST(a_question_waits_while_nobody_has_the_channel_and_goes_to_who_has_it_then)
{
    struct history *first = node.history;
    publish();
    hold_answers();
    home = NULL;
    come(0, "a");
    come(1, "a");
    subscribe();
    leave(1);
    release_answers();
    open_other();
    node.history = other.history;
    wait_heard(0);
    ck_assert_str_eq(heard(0), "1");
    ck_assert_str_eq(heard(1), "");
    home = NULL; // nobody reads for the one that goes
    history_destroy(first);
    home = &other;
}

TEST(who_has_left_is_not_told)
{
    publish();
    hold_answers();
    come(0, "a");
    come(1, "a");
    subscribe();
    wait_answered(1);
    leave(1);
    release_answers();
    wait_heard(0);
    ck_assert_str_eq(heard(0), "1");
    ck_assert_str_eq(heard(1), "");
}

TEST(who_has_left_and_come_again_is_told_what_was_asked_for_then)
{
    ask_and_hold();
    leave(0);
    publish();
    come_later(0);
    release_answers();
    wait_heard(0);
    ck_assert_str_eq(heard(0), "2");
}

TEST(a_channel_that_nobody_wants_any_more_when_the_answer_comes_is_none)
{
    ask_and_hold();
    leave(0);
    node_channels_reset(&node.channels); // what lingers is forgotten
    ck_assert_ptr_null(channels_find(&all, (struct channel_ref){"a", 1, map_hash("a", 1)}));
    release_answers();
    ck_assert_str_eq(heard(0), "");
    come(0, "a");
    subscribe();
    wait_heard(0);
    ck_assert_str_eq(heard(0), "1");
}

TEST(a_key_that_is_no_history_confirms_without_one)
{
    redis_do(publisher, "SET sse:{a} x");
    for (unsigned w = 0; w < WORKERS; w++)
        come(w, "a");
    subscribe();
    for (unsigned w = 0; w < WORKERS; w++) {
        wait_heard(w);
        ck_assert_str_eq(heard(w), "none");
    }
}

TEST(a_history_that_may_not_be_read_confirms_without_one_until_it_may)
{
    publish();
    redis_do(publisher, "ACL SETUSER default -xrevrange");
    come(0, "a");
    subscribe();
    wait_heard(0);
    ck_assert_uint_eq(counter_read(&counters, COUNTER_REDIS_ERRORS), 1);
    redis_do(publisher, "ACL SETUSER default +xrevrange");
    come_later(1);
    wait_heard(1);
    ck_assert_str_eq(heard(0), "none");
    ck_assert_str_eq(heard(1), "1");
}

TEST(what_is_asked_before_there_is_a_connection_is_answered)
{
    come(0, "a");
    subscribe();
    ck_assert_uint_eq(env.position_queries, 1);
    wait_heard(0);
    ck_assert_str_eq(heard(0), "0"); // a history without events
}

TEST(a_channel_that_is_not_durable_is_confirmed_without_a_question)
{
    come(0, "b");
    come(1, "b");
    subscribe();
    resume_confirm_workers(&node, UINT64_C(1) << 2, come(2, "b"));
    ck_assert_uint_eq(env.position_queries, 0);
    for (unsigned w = 0; w < WORKERS; w++)
        wait_heard(w);
    for (unsigned w = 0; w < WORKERS; w++)
        ck_assert_str_eq(workers[w].words, "none");
}
