#include "gateway/client/revocation.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/auth/principal.h"
#include "gateway/client/admission.h"
#include "gateway/client/users.h"
#include "gateway/client/walk.h"

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
    static const enum users_kind kinds[QUESTION_TEXTS] = {USERS_SUBJECT, USERS_TOKEN};
    struct ids ids = {0};
    for (size_t i = 0; i < QUESTION_TEXTS; i++) {
        char key[USERS_KEY_MAX + 1];
        if (news->texts[i] && users_key(kinds[i], news->texts[i], key)) // a longer one was not let in
            (void)users_each(cx->settings->users, key, on_id, &ids);
    }
    for (size_t i = 0; i < ids.count; i++)
        end_if_refused(conn_find(cx, ids.items[i]), news); // NULL for those of other loops
    free(ids.items);
    if (ids.failed)
        revocation_recheck(cx);
}

static int ask(struct client_context *cx, const struct conn *c, uint32_t walk)
{
    struct question question;
    if ((c->state != CONN_STREAM && c->state != CONN_WAITING) || !revocation_question(c, &question))
        return 0;
    question.walk = walk;
    struct question *q = question_create(&question);
    if (q && cx->hooks.ask(cx->hooks.ask_ctx, q))
        return 1;
    free(q);
    return -1;
}

static const struct walk_kind recheck = {.ask = ask};

void revocation_recheck(struct client_context *cx)
{
    walk_begin(cx, &cx->recheck, &recheck);
}

void revocation_answered(struct client_context *cx, const struct question *answer)
{
    if (answer->is_answered)
        end_if_refused(conn_find(cx, answer->connection), answer);
    walk_answered(cx, &cx->recheck, &recheck, answer);
}

void revocation_tick(struct client_context *cx)
{
    walk_tick(cx, &cx->recheck, &recheck);
}
