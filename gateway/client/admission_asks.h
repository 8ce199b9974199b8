// The steps of admission that ask Redis (fanout/question.h): the request waits until the answer comes.
#pragma once

#include "gateway/client/admission.h"
#include "gateway/fanout/question.h"

// The answer `q` (borrowed) to one of these steps.
void admission_answered(struct client_context *cx, const struct question *q);
