// POST /ticket, which turns a token into a ticket. The ticket in the query of a stream's request is read by
// admission_ticket (admission.h).
#pragma once

#include "gateway/client/route.h"

#define TICKET_PATH "/ticket"

struct route ticket_route(void);
