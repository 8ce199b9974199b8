// The steps of admission that ask Redis (fanout/question.h): the request waits until the answer comes.
#pragma once

#include "gateway/client/admission.h"
#include "gateway/fanout/question.h"

// Spends the ticket of the request. A ticket that was spent is final (401): the page has to get a new one. Where
// Redis does not answer the stream is refused, and the ticket may be good for another attempt.
enum admission_verdict admission_spend_ticket(struct admission *a);
// Whether the token was revoked. After admission_user: what is published from the question on finds the
// connection there.
enum admission_verdict admission_revocation(struct admission *a);

// The answer `q` (borrowed) to one of these steps.
void admission_answered(struct client_context *cx, const struct question *q);
