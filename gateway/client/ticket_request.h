// POST /ticket, which turns a token into a ticket; and the ticket in the query of a stream's request.
#pragma once

#include "gateway/client/admission.h"

#define TICKET_PATH "/ticket"

struct route ticket_route(void);
// The step that reads ?ticket=: the connection gets the principal of its token, and admission_spend_ticket the
// nonce. Before admission_auth, which asks for no token then.
enum admission_verdict admission_ticket(struct admission *a);
