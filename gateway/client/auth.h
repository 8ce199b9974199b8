// Who a client is, and which channels it may subscribe to.
#pragma once

#include "gateway/auth/principal.h"
#include "gateway/client/client_settings.h"
#include "gateway/client/http_request.h"
#include "gateway/client/stream_request.h"
#include "gateway/fanout/counters.h"

// In the place of a status: a refusal that may pass, since the key of the token is being fetched, or memory is short.
#define AUTH_TRY_AGAIN (-1)

// Reads the token of a request: `Authorization: Bearer`, else the cookie, else the query's parameter where one is
// named. Returns 0 with `*who` (the caller's; NULL where the request has none, or no key is configured), a final
// status, or AUTH_TRY_AGAIN, each with one line in `detail`, which holds no byte of the token.
int auth_identify(const struct client_settings *settings, struct counters *counters,
                  const struct http_request *req, struct principal **who, char *detail, size_t detail_size);
// Returns 0, or a final status with one line in `detail`, where a channel is not open to `who` (borrowed; NULL:
// nobody): 401 where a token could help, else 403. Neither says whether the channel exists.
int auth_check(const struct client_settings *settings, struct counters *counters, const struct principal *who,
               const struct stream_request *want, char *detail, size_t detail_size);
// What `error` of WWW-Authenticate is in an answer with this status (RFC 6750 section 3.1); "" for a challenge without
// one, NULL for no challenge.
const char *auth_error(const struct client_settings *settings, const struct principal *who,
                       const struct http_request *req, int status);
