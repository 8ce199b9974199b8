#include "gateway/client/admission.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client/answer.h"
#include "gateway/client/auth.h"
#include "gateway/client/stream.h"

// A pending step waits for a round trip to Redis, or to a server of keys: a client waits for it as long as
// for the confirmation of its channels.
#define PENDING_TIMEOUT_MS 5000u
#define BUSY "This gateway is too busy; try again."

// An admission that is pending, and its own copy of the request: one block, with the texts behind the
// channels.
struct parked {
    struct admission admission; // the first member: conn.admission points to it
    struct http_request req;
    struct stream_request want;
    struct stream_channel channels[];
};

static char *keep_text(struct http_text *to, struct http_text from, char *room)
{
    if (!from.at)
        return room;
    memcpy(room, from.at, from.len);
    *to = (struct http_text){.at = room, .len = from.len};
    return room + from.len;
}

static void keep_request(struct parked *p, const struct http_request *from, char *room)
{
    p->req = (struct http_request){.method = from->method, .http_1_0 = from->http_1_0};
    room = keep_text(&p->req.origin, from->origin, room);
    room = keep_text(&p->req.authorization, from->authorization, room);
    room = keep_text(&p->req.cookie, from->cookie, room);
    (void)keep_text(&p->req.forwarded_for, from->forwarded_for, room); // the last one
    p->admission.req = &p->req;
}

// NULL when out of memory.
static struct parked *park(const struct admission *a)
{
    const struct http_request *req = a->req;
    size_t channels = a->want->channel_count * sizeof *a->want->channels;
    size_t texts = req->origin.len + req->authorization.len + req->cookie.len + req->forwarded_for.len;
    struct parked *p = malloc(sizeof *p + channels + texts);
    if (!p)
        return NULL;
    p->admission = *a;
    keep_request(p, req, (char *)p->channels + channels);
    p->want = *a->want;
    p->want.channels = p->channels;
    p->want.channel_cap = p->want.channel_count;
    memcpy(p->channels, a->want->channels, channels);
    p->admission.want = &p->want;
    return p;
}

static enum admission_verdict deny(struct admission *a, int status, const char *detail)
{
    a->status = status;
    snprintf(a->detail, sizeof a->detail, "%s", detail); // cut where it is longer
    return ADMISSION_DENIED;
}

enum admission_verdict admission_auth(struct admission *a)
{
    const struct client_settings *settings = conn_context(a->conn)->settings;
    struct conn *c = a->conn;
    assert(!c->principal);
    a->status = auth_identify(settings, a->req, &c->principal, a->detail, sizeof a->detail);
    if (!a->status)
        a->status = auth_check(settings, c->principal, a->want, a->detail, sizeof a->detail);
    return a->status ? ADMISSION_DENIED : ADMISSION_GRANTED;
}

enum admission_verdict admission_readiness(struct admission *a)
{
    const struct client_context *cx = conn_context(a->conn);
    const char *why = cx->draining ? DRAINING : cx->hooks.refuse(cx->hooks.ctx);
    return why ? deny(a, 0, why) : ADMISSION_GRANTED;
}

enum admission_verdict admission_limits(struct admission *a)
{
    if (!limits_enter(conn_context(a->conn)->limits))
        return deny(a, 0, "This gateway is full; another one will serve you.");
    a->conn->has_place = true;
    return ADMISSION_GRANTED;
}

// Enters under a key of the users table. `text` is NULL where the principal has none.
static enum admission_verdict enter_users(struct admission *a, const char *prefix, const char *text,
                                          const struct users_cap *cap)
{
    struct conn *c = a->conn;
    char key[USERS_KEY_MAX + 1];
    if (!text)
        return ADMISSION_GRANTED;
    if ((size_t)snprintf(key, sizeof key, "%s:%s", prefix, text) >= sizeof key)
        return deny(a, 403, "The subject or the id of the token is too long.");
    switch (users_enter(conn_context(c)->settings->users, key, conn_id(c), cap)) {
    case USERS_FULL:
        return deny(a, 429, "This user has too many streams.");
    case USERS_NO_MEMORY:
        return deny(a, 0, BUSY);
    case USERS_ENTERED:
        break;
    }
    c->in_users = true;
    return ADMISSION_GRANTED;
}

enum admission_verdict admission_user(struct admission *a)
{
    const struct client_settings *settings = conn_context(a->conn)->settings;
    const struct principal *who = a->conn->principal;
    if (!who || !settings->users)
        return ADMISSION_GRANTED;
    enum admission_verdict verdict = enter_users(a, "jti", who->token_id, &(struct users_cap){.max = 0});
    return verdict == ADMISSION_GRANTED ? enter_users(a, "sub", who->subject, &settings->user_cap) : verdict;
}

enum admission_verdict admission_join(struct admission *a)
{
    if (!stream_join(a->conn, a->req, a->want))
        return deny(a, 0, BUSY);
    return ADMISSION_GRANTED;
}

const struct admission_step admission_steps[] = {
    {.check = admission_auth, .of_head = true},
    {.check = admission_readiness},
    {.check = admission_limits},
    {.check = admission_user},
    {.check = admission_join},
    {0},
};

static void answer_denial(const struct admission *a)
{
    if (a->status == 429)
        answer_refusal_of_client(a->conn, a->req, a->detail);
    else if (a->status)
        answer_problem(a->conn, a->req, a->status, a->detail);
    else
        answer_refusal(a->conn, a->req, a->detail);
}

// Runs the steps from a->step on. DENIED: the client was answered. PENDING: a->step is the step that is
// pending.
static enum admission_verdict run(struct admission *a)
{
    struct client_context *cx = conn_context(a->conn);
    const struct admission_step *steps = cx->settings->admission ? cx->settings->admission : admission_steps;
    bool is_head = a->req->method == HTTP_HEAD;
    for (; steps[a->step].check; a->step++) {
        if (is_head && !steps[a->step].of_head)
            continue;
        enum admission_verdict verdict = steps[a->step].check(a);
        if (verdict == ADMISSION_DENIED)
            answer_denial(a);
        if (verdict != ADMISSION_GRANTED)
            return verdict;
    }
    if (is_head)
        answer_scratch(a->conn, http_stream_head(&cx->policy, a->req, cx->scratch, SCRATCH_SIZE),
                       CLOSE_ANSWERED);
    return ADMISSION_GRANTED;
}

void admission_begin(struct conn *c, const struct http_request *req, const struct stream_request *want)
{
    struct admission a = {.conn = c, .req = req, .want = want};
    conn_set_state(c, CONN_ADMITTING);
    if (run(&a) != ADMISSION_PENDING)
        return;
    assert(c->state == CONN_ADMITTING);
    struct parked *p = park(&a);
    if (!p) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    c->admission = &p->admission;
    conn_set_deadline(c, PENDING_TIMEOUT_MS);
}

// The connection may leave ADMITTING while its admission is used, so the caller owns the admission meanwhile.
static struct admission *take_parked(struct conn *c)
{
    struct admission *a = c->admission;
    c->admission = NULL;
    return a;
}

void admission_continue(struct client_context *cx, uint64_t id, enum admission_verdict verdict, int status,
                        const char *detail)
{
    struct conn *c = conn_find(cx, id);
    assert(verdict != ADMISSION_PENDING);
    if (!c || c->state != CONN_ADMITTING)
        return;
    struct admission *a = take_parked(c);
    assert(a && a->conn == c);
    if (verdict == ADMISSION_DENIED) {
        (void)deny(a, status, detail);
        answer_denial(a);
    } else {
        a->step++;
        verdict = run(a);
    }
    if (verdict == ADMISSION_PENDING) {
        c->admission = a;
        conn_set_deadline(c, PENDING_TIMEOUT_MS);
    } else {
        free(a);
    }
}

void admission_refuse(struct conn *c, const char *why)
{
    struct admission *a = take_parked(c);
    assert(a && a->conn == c);
    answer_refusal(c, a->req, why);
    free(a);
}
