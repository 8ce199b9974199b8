#include "gateway/client/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool lease_ask(struct client_context *cx, enum question_kind kind, uint64_t id, const char *subject,
               uint32_t walk)
{
    char member[64];
    snprintf(member, sizeof member, "%s:%" PRIx64, cx->settings->lease_owner, id);
    struct question *q = question_create(&(struct question){.kind = (uint8_t)kind,
                                                            .connection = id,
                                                            .walk = walk,
                                                            .replaces = cx->settings->tier_replaces,
                                                            .seconds = LEASE_S,
                                                            .numbers = {(int64_t)cx->settings->tier_cap},
                                                            .texts = {subject, member}});
    if (q && cx->hooks.ask(cx->hooks.ask_ctx, q))
        return true;
    free(q);
    return false;
}
