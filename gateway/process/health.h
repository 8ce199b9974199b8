// Whether the process is alive, and ready for streams (docs/operations.md, "Live, ready, and proof").
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Why no new stream may be admitted though there be room: a short static text, or NULL. Whether there is room is
// decided, and counted, where the stream takes its place (client/limits.h).
const char *health_outage(const struct status *s);

// As /health/ready says: no outage, and room.
bool health_is_ready(const struct status *s);

// Each loop has turned within the last seconds.
bool health_is_alive(const struct status *s);

// Pages (process/pages.h).
struct page health_live(void *status);
struct page health_ready(void *status);
