// The place of a stream under a cap per user that holds for the whole tier: a lease in Redis (docs/protocol.md,
// "Leases") that the loop renews for as long as the stream is there, and that expires with a gateway that dies. One
// thread.
#pragma once

#include "gateway/client/client_context.h"

#define LEASE_S 60u
#define LEASE_RENEW_MS 20000u

// A question about the lease of connection `id`, asked at once. False where there was no memory.
bool lease_ask(struct client_context *cx, enum question_kind kind, uint64_t id, const char *subject,
               uint32_t walk);
