// Which channels a client may subscribe to.
#pragma once

#include "gateway/client/client_settings.h"
#include "gateway/client/stream_request.h"

// Returns 0, or the status 403 with one line in `detail`, where a channel is not open to this client.
int auth_check(const struct client_settings *settings, const struct stream_request *want, char *detail,
               size_t detail_size);
