#include "gateway/client/admission_asks.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/auth/principal.h"
#include "gateway/auth/ticket.h"
#include "gateway/client/lease.h"
#include "gateway/client/revocation.h"
#include "gateway/fanout/revocations.h"

#define UNKNOWN "Redis could not be asked about this stream; try again."

static enum admission_verdict ask(struct admission *a, const struct question *question)
{
    const struct client_hooks *hooks = &conn_context(a->conn)->hooks;
    struct question *q = question_create(question);
    if (q && hooks->ask(hooks->ask_ctx, q))
        return ADMISSION_PENDING;
    free(q);
    return admission_deny(a, 0, UNKNOWN);
}

enum admission_verdict admission_spend_ticket(struct admission *a)
{
    if (a->nonce[0] == '\0')
        return ADMISSION_GRANTED;
    // Clocks of gateways may differ: the nonce is remembered for longer than the ticket is valid.
    return ask(a, &(struct question){.kind = QUESTION_SPEND,
                                     .connection = conn_id(a->conn),
                                     .seconds = TICKET_LIFE_S + TICKET_SKEW_S,
                                     .texts = {a->nonce}});
}

enum admission_verdict admission_revocation(struct admission *a)
{
    const struct conn *c = a->conn;
    const struct client_settings *s = conn_context(c)->settings;
    struct question q;
    if (!s->revocation || !revocation_question(c, &q) ||
        (s->revocations && revocations_excludes(s->revocations, q.texts)))
        return ADMISSION_GRANTED;
    return ask(a, &q);
}

static enum admission_verdict ask_for_lease(struct admission *a)
{
    struct client_context *cx = conn_context(a->conn);
    const struct principal *who = a->conn->principal;
    if (cx->settings->tier_cap == 0 || !who || !who->subject)
        return ADMISSION_GRANTED;
    if (lease_ask(cx, QUESTION_LEASE, conn_id(a->conn), who->subject, 0))
        return ADMISSION_PENDING;
    return admission_deny(a, 0, UNKNOWN);
}

enum admission_verdict admission_tier(struct admission *a)
{
    return conn_context(a->conn)->settings->tier_replaces ? ADMISSION_GRANTED : ask_for_lease(a);
}

enum admission_verdict admission_tier_newest(struct admission *a)
{
    return conn_context(a->conn)->settings->tier_replaces ? ask_for_lease(a) : ADMISSION_GRANTED;
}

// The stream has a lease, or it is not there any more to have one.
static void take_lease(struct client_context *cx, struct conn *c, const struct question *q)
{
    if (c && c->state == CONN_ADMITTING)
        c->has_lease = true;
    else
        (void)lease_ask(cx, QUESTION_RELEASE, q->connection, q->texts[0], 0); // else it expires
}

static void refuse_user(struct client_context *cx, uint64_t id)
{
    counter_add(cx->counters, COUNTER_REFUSED_USER, 1);
    admission_continue(cx, id, ADMISSION_DENIED, 429, "This user has too many streams.");
}

static void deny(struct client_context *cx, uint64_t connection, enum counter reason, const char *detail)
{
    counter_add(cx->counters, reason, 1);
    admission_continue(cx, connection, ADMISSION_DENIED, 401, detail);
}

void admission_answered(struct client_context *cx, const struct question *q)
{
    struct conn *c = conn_find(cx, q->connection);
    bool is_leased = q->kind == QUESTION_LEASE && q->is_answered && q->numbers[0] == 1;
    if (is_leased)
        take_lease(cx, c, q);
    if (!c || q->kind == QUESTION_RELEASE)
        return;
    if (!q->is_answered)
        admission_continue(cx, q->connection, ADMISSION_DENIED, 0, UNKNOWN);
    else if (q->kind == QUESTION_LEASE && !is_leased)
        refuse_user(cx, q->connection);
    else if (q->kind == QUESTION_SPEND && q->numbers[0] == 0)
        deny(cx, q->connection, COUNTER_DENIED_TICKET_SPENT, "This ticket was used already.");
    else if (q->kind == QUESTION_REVOKED && revocation_refuses(c->principal, q))
        deny(cx, q->connection, COUNTER_DENIED_REVOKED, "This token was revoked.");
    else
        admission_continue(cx, q->connection, ADMISSION_GRANTED, 0, "");
}
