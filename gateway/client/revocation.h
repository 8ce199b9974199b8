// Ends the streams of users and tokens that are revoked: when the bus tells of a revocation, and where one may have
// been lost on the way here, by asking Redis about every stream of the loop. One thread.
#pragma once

#include <stdbool.h>

#include "gateway/client/conn.h"
#include "gateway/fanout/question.h"

// The question whether the principal of `c` is revoked, which borrows its texts; false where there is nothing to ask.
bool revocation_question(const struct conn *c, struct question *out);
// Whether `answer` refuses `who` (may be NULL): a token that names its subject or its id, and was issued up to the
// time of the revocation, or does not say when.
bool revocation_refuses(const struct principal *who, const struct question *answer);

// The bus tells of a revocation: the streams that it refuses end.
void revocation_apply(struct client_context *cx, const struct question *news);
// Revocations were lost: asks about every stream, some at a time.
void revocation_recheck(struct client_context *cx);
// An answer to one of these questions.
void revocation_answered(struct client_context *cx, const struct question *answer);
// Begins a recheck anew that Redis did not answer. Called by each tick of the loop.
void revocation_tick(struct client_context *cx);
