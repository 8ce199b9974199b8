// Whether the process is alive, and ready for streams (docs/operations.md, "Live, ready, and proof").
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Why no new stream may be admitted: a short static text; NULL when ready.
const char *health_refusal(const struct status *s);

// Each loop has turned within the last seconds.
bool health_is_alive(const struct status *s);

// Pages (process/pages.h).
struct page health_live(void *status);
struct page health_ready(void *status);
