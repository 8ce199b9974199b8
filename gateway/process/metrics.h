// Counters for Prometheus (text format 0.0.4) and for load balancers (JSON).
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Answers /metrics and /metrics/sse. False where `path` is neither.
bool metrics_page(const struct status *s, const struct http_request *req, struct page *out);
