#include "gateway/client/admission.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "gateway/client/answer.h"
#include "gateway/client/auth.h"
#include "gateway/client/connect_rate.h"
#include "gateway/client/forwarded.h"
#include "gateway/client/stream.h"

// A pending step waits for a round trip to Redis, or to a server of keys: a client waits for it as long as
// for the confirmation of its channels.
#define PENDING_TIMEOUT_MS 5000u

// An admission that is pending, and its own copy of the request: one block, with the origin behind the channels. Tokens
// and cookies were read, and are not kept.
struct parked {
    struct admission admission; // the first member: conn.admission points to it
    struct http_request req;
    struct stream_request want;
    struct stream_channel channels[];
};

static void keep_request(struct parked *p, const struct http_request *from, char *room)
{
    p->req = (struct http_request){.method = from->method, .http_1_0 = from->http_1_0};
    if (from->origin.at) {
        memcpy(room, from->origin.at, from->origin.len);
        p->req.origin = (struct http_text){.at = room, .len = from->origin.len};
    }
    p->admission.req = &p->req;
}

// NULL when out of memory.
static struct parked *park(const struct admission *a)
{
    const struct http_request *req = a->req;
    size_t channels = a->want->channel_count * sizeof *a->want->channels;
    struct parked *p = malloc(sizeof *p + channels + req->origin.len);
    if (!p)
        return NULL;
    p->admission = *a;
    keep_request(p, req, (char *)p->channels + channels);
    p->want = *a->want;
    p->want.channels = p->channels;
    p->want.channel_cap = p->want.channel_count;
    p->want.index = NULL;
    memcpy(p->channels, a->want->channels, channels);
    p->admission.want = &p->want;
    return p;
}

enum admission_verdict admission_deny(struct admission *a, int status, const char *detail)
{
    a->status = status;
    snprintf(a->detail, sizeof a->detail, "%s", detail); // cut where it is longer
    return ADMISSION_DENIED;
}

static void find_client(struct conn *c, const struct http_request *req)
{
    struct conn_peer *peer = c->peer;
    if (peer)
        peer->client = forwarded_client(&conn_context(c)->settings->trusted, &peer->socket, req->fields);
}

enum admission_verdict admission_address(struct admission *a)
{
    find_client(a->conn, a->req);
    return ADMISSION_GRANTED;
}

// What caps by address count together; 0: this connection has no address.
static uint64_t address_key(const struct conn *c)
{
    return c->peer ? peer_address_key(&c->peer->client) : 0;
}

static bool take_rate(struct conn *c)
{
    const struct client_context *cx = conn_context(c);
    uint64_t key = address_key(c);
    if (!cx->settings->connect_rate || key == 0 ||
        connect_rate_take(cx->settings->connect_rate, key, clock_monotonic_ms()))
        return true;
    counter_add(cx->counters, COUNTER_REFUSED_RATE, 1);
    return false;
}

enum admission_verdict admission_rate(struct admission *a)
{
    return take_rate(a->conn) ? ADMISSION_GRANTED : admission_deny(a, 429, TOO_FAST);
}

bool admission_take_rate(struct conn *c, const struct http_request *req)
{
    find_client(c, req);
    return take_rate(c);
}

static bool is_from_trusted(const struct conn *c)
{
    return c->peer && peer_ranges_have(&conn_context(c)->settings->trusted, &c->peer->socket);
}

// What a trusted proxy vouches for counts before a token, which is not even read then: it may be the application's own,
// by which that has decided already. Writes a->status where the client is denied.
static enum admission_verdict identify(struct admission *a)
{
    const struct client_context *cx = conn_context(a->conn);
    const struct client_settings *settings = cx->settings;
    struct conn *c = a->conn;
    struct vouched_error error;
    if (c->principal)
        return ADMISSION_GRANTED; // a ticket's
    switch (is_from_trusted(c) ? vouched_identify(&settings->vouched, a->req->fields, &c->principal, &error)
                               : VOUCHED_NOTHING) {
    case VOUCHED:
        return ADMISSION_GRANTED;
    case VOUCHED_BAD:
        counter_add(cx->counters, COUNTER_DENIED_VOUCHED, 1);
        return admission_deny(a, error.status, error.detail);
    case VOUCHED_NO_MEMORY:
        return admission_deny(a, 0, BUSY);
    case VOUCHED_NOTHING:
        break;
    }
    a->status = auth_identify(settings, cx->counters, a->req, &c->principal, a->detail, sizeof a->detail);
    if (a->status == AUTH_TRY_AGAIN)
        a->status = 0;
    else if (a->status == 0)
        return ADMISSION_GRANTED;
    return ADMISSION_DENIED;
}

enum admission_verdict admission_auth(struct admission *a)
{
    const struct client_settings *settings = conn_context(a->conn)->settings;
    if (identify(a) == ADMISSION_DENIED)
        return ADMISSION_DENIED;
    a->status = auth_check(settings, conn_context(a->conn)->counters, a->conn->principal, a->want, a->detail,
                           sizeof a->detail);
    return a->status ? ADMISSION_DENIED : ADMISSION_GRANTED;
}

enum admission_verdict admission_readiness(struct admission *a)
{
    const struct client_context *cx = conn_context(a->conn);
    const char *why = cx->draining ? DRAINING : cx->hooks.refuse(cx->hooks.ctx);
    if (!why)
        return ADMISSION_GRANTED;
    counter_add(cx->counters, COUNTER_REFUSED_NOT_READY, 1);
    return admission_deny(a, 0, why);
}

static enum admission_verdict deny_full(struct admission *a)
{
    counter_add(conn_context(a->conn)->counters, COUNTER_REFUSED_FULL, 1);
    return admission_deny(a, 0, "This gateway is full; another one will serve you.");
}

enum admission_verdict admission_limits(struct admission *a)
{
    if (!limits_enter(conn_context(a->conn)->limits))
        return deny_full(a);
    a->conn->has_place = true;
    return ADMISSION_GRANTED;
}

// Takes no place: a body that comes slowly would keep a stream out.
static enum admission_verdict look_at_limits(struct admission *a)
{
    return limits_full(conn_context(a->conn)->limits) ? deny_full(a) : ADMISSION_GRANTED;
}

// What a stream enters the users table under.
struct users_row {
    enum users_kind kind;
    const char *text; // NULL: nothing to enter
    const struct users_cap *cap;
    enum counter refused;
    const char *why;
};

static enum admission_verdict enter_users(struct admission *a, const struct users_row *row)
{
    struct conn *c = a->conn;
    char key[USERS_KEY_MAX + 1];
    if (!row->text)
        return ADMISSION_GRANTED;
    if (!users_key(row->kind, row->text, key))
        return admission_deny(a, 403, "The subject or the id of the token is too long.");
    switch (users_enter(conn_context(c)->settings->users, key, conn_id(c), row->cap)) {
    case USERS_FULL:
        counter_add(conn_context(c)->counters, row->refused, 1);
        return admission_deny(a, 429, row->why);
    case USERS_NO_MEMORY:
        return admission_deny(a, 0, BUSY);
    case USERS_ENTERED:
        break;
    }
    c->in_users = true;
    return ADMISSION_GRANTED;
}

// Under what somebody looks for streams alone: a cap counts them, or a revocation ends them.
enum admission_verdict admission_user(struct admission *a)
{
    static const struct users_cap any = {.max = 0};
    const struct client_settings *settings = conn_context(a->conn)->settings;
    const struct principal *who = a->conn->principal;
    uint64_t address = settings->address_cap.max > 0 ? address_key(a->conn) : 0;
    char address_text[17];
    if (!settings->users)
        return ADMISSION_GRANTED;
    if (address)
        snprintf(address_text, sizeof address_text, "%016" PRIx64, address);
    const struct users_row rows[] = {
        {.kind = USERS_ADDRESS,
         .text = address ? address_text : NULL,
         .cap = &settings->address_cap,
         .refused = COUNTER_REFUSED_ADDRESS,
         .why = "This address has too many streams."},
        {.kind = USERS_TOKEN, .text = who && settings->revocation ? who->token_id : NULL, .cap = &any},
        {.kind = USERS_SUBJECT,
         .text = who && (settings->revocation || settings->user_cap.max > 0) ? who->subject : NULL,
         .cap = &settings->user_cap,
         .refused = COUNTER_REFUSED_USER,
         .why = "This user has too many streams."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (enter_users(a, &rows[i]) == ADMISSION_DENIED)
            return ADMISSION_DENIED;
    return ADMISSION_GRANTED;
}

enum admission_verdict admission_replace(struct admission *a)
{
    const struct client_settings *settings = conn_context(a->conn)->settings;
    if (!a->conn->in_users || !settings->user_cap.replace_oldest ||
        users_replace(settings->users, conn_id(a->conn), settings->user_cap.max))
        return ADMISSION_GRANTED;
    return admission_deny(a, 0, BUSY);
}

enum admission_verdict admission_join(struct admission *a)
{
    if (!stream_join(a->conn, a->req, a->want))
        return admission_deny(a, 0, BUSY);
    return ADMISSION_GRANTED;
}

const struct admission_step admission_steps[] = {
    {.check = admission_address, .of_head = true},
    {.check = admission_rate, .not_post = true},
    {.check = admission_ticket, .of_head = true},
    {.check = admission_auth, .of_head = true},
    {.check = admission_readiness},
    {.check = admission_limits},
    {.check = admission_user},
    {.check = admission_tier},
    {.check = admission_spend_ticket},
    {.check = admission_revocation},
    {.check = admission_replace},
    {.check = admission_tier_newest},
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
    bool is_head = a->req->method == HTTP_HEAD, is_post = a->req->method == HTTP_POST;
    for (; steps[a->step].check; a->step++) {
        if ((is_head && !steps[a->step].of_head) || (is_post && steps[a->step].not_post))
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

bool admission_before_body(struct conn *c, const struct http_request *req)
{
    static enum admission_verdict (*const checks[])(struct admission * a) = {
        admission_address, admission_rate, admission_readiness, look_at_limits};
    struct admission a = {.conn = c, .req = req};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (checks[i](&a) == ADMISSION_DENIED) {
            answer_denial(&a);
            return false;
        }
    }
    return true;
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
        (void)admission_deny(a, status, detail);
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

void admission_end(struct conn *c, enum close_reason reason, const char *why)
{
    if (c->state == CONN_STREAM)
        stream_end(c, reason);
    else if (c->state == CONN_WAITING)
        stream_refuse(c, why);
    else if (c->state == CONN_ADMITTING && c->admission)
        admission_refuse(c, why);
}
