#include "gateway/client/admission_asks.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/auth/principal.h"
#include "gateway/auth/ticket.h"
#include "gateway/client/revocation.h"

#define UNKNOWN "Redis could not be asked about this stream; try again."

static enum admission_verdict ask(struct admission *a, const struct question *question)
{
    const struct client_hooks *hooks = &conn_context(a->conn)->hooks;
    struct question *q = question_create(question);
    if (q && hooks->ask(hooks->ask_ctx, q))
        return ADMISSION_PENDING;
    free(q);
    a->status = 0;
    snprintf(a->detail, sizeof a->detail, UNKNOWN);
    return ADMISSION_DENIED;
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
    struct question q;
    if (!conn_context(c)->settings->revocation || !revocation_question(c, &q))
        return ADMISSION_GRANTED;
    return ask(a, &q);
}

void admission_answered(struct client_context *cx, const struct question *q)
{
    const struct conn *c = conn_find(cx, q->connection);
    if (!c)
        return;
    if (!q->is_answered)
        admission_continue(cx, q->connection, ADMISSION_DENIED, 0, UNKNOWN);
    else if (q->kind == QUESTION_SPEND && q->numbers[0] == 0)
        admission_continue(cx, q->connection, ADMISSION_DENIED, 401, "This ticket was used already.");
    else if (q->kind == QUESTION_REVOKED && revocation_refuses(c->principal, q))
        admission_continue(cx, q->connection, ADMISSION_DENIED, 401, "This token was revoked.");
    else
        admission_continue(cx, q->connection, ADMISSION_GRANTED, 0, "");
}
