// /health/detailed: what anybody may know; and at the admin listener how each connection to Redis is, the drain, the
// threads and the tier (docs/operations.md, "What /health/detailed says").
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Pages (process/pages.h).
struct page health_detailed(void *status);
// On the main thread.
struct page health_detailed_admin(void *status);
