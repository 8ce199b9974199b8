// Who a client is, and which channels it may subscribe to.
#pragma once

#include "gateway/auth/principal.h"
#include "gateway/client/client_settings.h"
#include "gateway/client/http_request.h"
#include "gateway/client/stream_request.h"

// Reads the credentials of a request. Returns 0 with `*who` (the caller's; NULL where the request has none), or
// a final status with one line in `detail`.
int auth_identify(const struct client_settings *settings, const struct http_request *req,
                  struct principal **who, char *detail, size_t detail_size);
// Returns 0, or the status 403 with one line in `detail`, where a channel is not open to `who` (borrowed; NULL:
// nobody).
int auth_check(const struct client_settings *settings, const struct principal *who,
               const struct stream_request *want, char *detail, size_t detail_size);
