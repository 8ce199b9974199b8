#include "gateway/client/revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth/principal.h"
#include "gateway/client/admission.h"
#include "gateway/client/users.h"

// Questions of a recheck that Redis has not answered: far below what the bus takes, which streams that are admitted
// need, too.
#define RECHECK_ASKED 64u
#define RECHECK_RETRY_MS 1000u  // after a question that could not be answered
#define RECHECK_SILENT_MS 5000u // without an answer, which was lost for want of memory then
#define ENDED "This token was revoked."

bool revocation_question(const struct conn *c, struct question *out)
{
    const struct principal *who = c->principal;
    if (!who || (!who->subject && !who->token_id))
        return false;
    *out = (struct question){
        .kind = QUESTION_REVOKED, .connection = conn_id(c), .texts = {who->subject, who->token_id}};
    return true;
}

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

bool revocation_refuses(const struct principal *who, const struct question *answer)
{
    const char *const ours[QUESTION_TEXTS] = {who ? who->subject : NULL, who ? who->token_id : NULL};
    for (size_t i = 0; i < QUESTION_TEXTS; i++)
        if (is_same(ours[i], answer->texts[i]) && answer->numbers[i] > 0 &&
            who->issued_s <= answer->numbers[i])
            return true;
    return false;
}

static void end_if_refused(struct conn *c, const struct question *answer)
{
    if (c && revocation_refuses(c->principal, answer))
        admission_end(c, CLOSE_REVOKED, ENDED);
}

// The ids of the streams of a key, for use when the table is not locked any more.
struct ids {
    uint64_t *items;
    size_t count, room;
    bool failed;
};

static void on_id(void *ctx, uint64_t id)
{
    struct ids *ids = ctx;
    if (ids->count == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 16;
        uint64_t *items = realloc(ids->items, room * sizeof *items);
        ids->failed = ids->failed || !items;
        if (!items)
            return;
        ids->items = items;
        ids->room = room;
    }
    ids->items[ids->count++] = id;
}

void revocation_apply(struct client_context *cx, const struct question *news)
{
    static const char *const prefixes[QUESTION_TEXTS] = {"sub", "jti"};
    struct ids ids = {0};
    for (size_t i = 0; i < QUESTION_TEXTS; i++) {
        char key[USERS_KEY_MAX + 1];
        if (!news->texts[i] ||
            (size_t)snprintf(key, sizeof key, "%s:%s", prefixes[i], news->texts[i]) >= sizeof key)
            continue; // a longer one was not let in
        (void)users_each(cx->settings->users, key, on_id, &ids);
    }
    for (size_t i = 0; i < ids.count; i++)
        end_if_refused(conn_find(cx, ids.items[i]), news); // NULL for those of other loops
    free(ids.items);
    if (ids.failed)
        revocation_recheck(cx);
}

static void stop(struct recheck *r, uint64_t again_at_ms)
{
    r->running = false;
    r->again_at_ms = again_at_ms;
}

static bool ask(struct client_context *cx, const struct conn *c)
{
    struct question question;
    if ((c->state != CONN_STREAM && c->state != CONN_WAITING) || !revocation_question(c, &question))
        return true;
    question.recheck = cx->recheck.number;
    struct question *q = question_create(&question);
    if (q && cx->hooks.ask(cx->hooks.ask_ctx, q)) {
        cx->recheck.asked++;
        return true;
    }
    free(q);
    return false;
}

// Connections that come meanwhile are asked about when they are admitted. The table may grow: then some are asked
// about twice, and none is left out.
static void ask_more(struct client_context *cx)
{
    struct recheck *r = &cx->recheck;
    while (r->running && r->asked < RECHECK_ASKED) {
        const struct conn *c = id_table_next(&cx->conns, &r->cursor);
        if (!c && r->asked > 0)
            return;
        if (!c)
            stop(r, 0);
        else if (!ask(cx, c))
            stop(r, cx->now_ms + RECHECK_RETRY_MS);
    }
}

void revocation_recheck(struct client_context *cx)
{
    uint32_t number = cx->recheck.number + 1;
    cx->recheck = (struct recheck){.running = true, .number = number ? number : 1, .heard_ms = cx->now_ms};
    ask_more(cx);
}

void revocation_answered(struct client_context *cx, const struct question *answer)
{
    struct recheck *r = &cx->recheck;
    if (answer->is_answered)
        end_if_refused(conn_find(cx, answer->connection), answer);
    if (!r->running || answer->recheck != r->number)
        return;
    r->asked--;
    r->heard_ms = cx->now_ms;
    if (answer->is_answered)
        ask_more(cx);
    else
        stop(r, cx->now_ms + RECHECK_RETRY_MS);
}

void revocation_tick(struct client_context *cx)
{
    struct recheck *r = &cx->recheck;
    bool is_silent = r->running && cx->now_ms >= r->heard_ms + RECHECK_SILENT_MS;
    bool is_due = !r->running && r->again_at_ms != 0 && cx->now_ms >= r->again_at_ms;
    if (is_silent || is_due)
        revocation_recheck(cx);
}
