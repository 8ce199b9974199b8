// The keys of tokens and tickets, as the process sees them. Main thread.
#pragma once

#include "gateway/auth/authenticator.h"
#include "gateway/auth/ticket_keys.h"

// Reads them again, and says how that went: where it fails, all stay as they were.
void keys_reload(struct authenticator *authenticator);
void keys_reload_tickets(struct ticket_keys *tickets);
