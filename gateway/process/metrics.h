// Counters for Prometheus (text format 0.0.4) and for load balancers (JSON).
#pragma once

#include "gateway/client/http_request.h"
#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Pages (process/pages.h).
void metrics_prometheus(void *status, const struct http_request *req, struct page *out);
void metrics_balancer(void *status, const struct http_request *req, struct page *out);
