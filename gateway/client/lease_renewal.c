#include "gateway/client/lease_renewal.h"

#include "gateway/auth/principal.h"
#include "gateway/client/admission.h"
#include "gateway/client/lease.h"
#include "gateway/client/walk.h"

static int ask(struct client_context *cx, const struct conn *c, uint32_t walk)
{
    if (!c->has_lease)
        return 0;
    return lease_ask(cx, QUESTION_RENEW, conn_id(c), c->principal->subject, walk) ? 1 : -1;
}

static const struct walk_kind renewal = {.ask = ask, .every_ms = LEASE_RENEW_MS};

void lease_renewal_begin(struct client_context *cx)
{
    if (cx->settings->tier_cap > 0)
        walk_begin(cx, &cx->lease_walk, &renewal);
}

void lease_renewal_tick(struct client_context *cx)
{
    struct walk *w = &cx->lease_walk;
    if (cx->settings->tier_cap == 0)
        return;
    if (w->number == 0)
        walk_begin(cx, w, &renewal);
    walk_tick(cx, w, &renewal);
}

void lease_renewed(struct client_context *cx, const struct question *answer)
{
    struct conn *c = conn_find(cx, answer->connection);
    if (c && answer->is_answered && answer->numbers[0] == 0)
        admission_end(c, CLOSE_REPLACED, "A newer stream of this user has opened; try again.");
    walk_answered(cx, &cx->lease_walk, &renewal, answer);
}
