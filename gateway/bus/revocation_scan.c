#include "gateway/bus/revocation_scan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/container_of.h"
#include "common/log.h"
#include "common/revocation_names.h"
#include "gateway/bus/questions.h"
#include "gateway/fanout/question.h"
#include "gateway/fanout/revocations.h"
#include "gateway/redis/commands.h"

#define STEP "1000" // keys of any name that Redis looks at for one command
#define CURSOR_MAX 24u
#define RETRY_MS 60000u
#define RELOAD_MS 3600000u

// The SCAN of one node; in the queue of its questions until it ends.
struct walk {
    struct command command;
    struct revocation_scan *scan;
    struct questions *questions;
    uint64_t load;
    char cursor[CURSOR_MAX];
};

static void walk_end(struct walk *w, const char *fault)
{
    struct revocation_scan *s = w->scan;
    bool is_ours = w->load == s->load;
    free(w);
    if (!is_ours)
        return;
    assert(s->open > 0);
    bool is_news = fault[0] && !s->told && revocations_is_latest(s->env->revocations, s->load);
    if (is_news)
        log_warn("redis",
                 "cannot load what is revoked: %s; Redis is asked about each new stream with a token", fault);
    s->told = s->told || is_news;
    s->failed = s->failed || fault[0];
    if (--s->open > 0)
        return;
    s->due_ms = clock_monotonic_ms() + (s->failed ? RETRY_MS : RELOAD_MS);
    if (s->failed)
        return;
    s->told = false;
    revocations_complete(s->env->revocations, s->load);
}

static bool send_scan(const struct command *c, struct redis_conn *conn)
{
    static const char pattern[] = REVOKED_KEYS "*";
    const struct walk *w = container_of(c, struct walk, command);
    const char *argv[] = {"SCAN", w->cursor, "MATCH", pattern, "COUNT", STEP};
    return redis_conn_send(conn, 6, argv, NULL);
}

static bool is_page(const struct command *c, const redisReply *reply)
{
    (void)c;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < CURSOR_MAX &&
           reply->element[1]->type == REDIS_REPLY_ARRAY;
}

static bool is_final(const struct command *c, const char *error)
{
    (void)c, (void)error;
    return true; // it is begun anew
}

static void add_key(struct revocations *r, const redisReply *key)
{
    static const char *const kinds[QUESTION_TEXTS] = {REVOKED_KEYS REVOKED_SUBJECT ":",
                                                      REVOKED_KEYS REVOKED_TOKEN ":"};
    const size_t len = strlen(kinds[0]);
    for (unsigned i = 0; i < QUESTION_TEXTS; i++)
        // One above the limit of a reply is a nil: no token has a name of that length.
        if (key->type == REDIS_REPLY_STRING && key->len > len && strncmp(key->str, kinds[i], len) == 0)
            revocations_add(r, i, key->str + len, key->len - len);
}

static void on_answer(void *ctx, struct command *c, const struct command_answer *answer)
{
    (void)ctx;
    struct walk *w = container_of(c, struct walk, command);
    struct revocations *r = w->scan->env->revocations;
    const redisReply *reply = answer->reply;
    bool is_error = reply && reply->type == REDIS_REPLY_ERROR;
    counter_add(w->scan->env->counters, COUNTER_REDIS_ERRORS, is_error);
    if (!reply || is_error || !revocations_is_latest(r, w->load)) {
        walk_end(w, is_error ? reply->str : "the connection was lost");
        return;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++)
        add_key(r, keys->element[i]);
    snprintf(w->cursor, sizeof w->cursor, "%s", reply->element[0]->str);
    if (strcmp(w->cursor, "0") == 0)
        walk_end(w, "");
    else if (!questions_add(w->questions, &w->command))
        walk_end(w, "too much is asked at once");
}

static void on_forget(void *ctx, struct command *c)
{
    (void)ctx;
    walk_end(container_of(c, struct walk, command), "the node is gone");
}

static const struct command_kind kind = {.of_connection = true,
                                         .once = true,
                                         .send = send_scan,
                                         .fits = is_page,
                                         .is_final = is_final,
                                         .answer = on_answer,
                                         .forget = on_forget};

static bool scan_node(void *ctx, const struct node *n)
{
    struct revocation_scan *s = ctx;
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    *w = (struct walk){
        .command.kind = &kind, .scan = s, .questions = n->questions, .load = s->load, .cursor = "0"};
    s->open++;
    if (questions_add(n->questions, &w->command))
        return true;
    s->open--;
    free(w);
    return false;
}

static void begin(struct revocation_scan *s)
{
    s->load = revocations_begin(s->env->revocations);
    s->open = 0; // those of the load before end for themselves
    s->failed = !cluster_each_master(s->cluster, scan_node, s);
    if (s->open == 0)
        s->due_ms = clock_monotonic_ms() + RETRY_MS;
}

void revocation_scan_tick(struct revocation_scan *s, bool is_subscribed)
{
    struct revocations *r = s->env->revocations;
    if (!r)
        return;
    bool is_lost = !revocations_is_latest(r, s->load), is_due = clock_monotonic_ms() >= s->due_ms;
    if (is_subscribed && (is_lost || (s->open == 0 && is_due)))
        begin(s);
    counter_set(s->env->counters, COUNTER_REVOCATIONS_KNOWN, revocations_is_whole(r));
}
