// Counters for Prometheus (text format 0.0.4) and for load balancers (JSON).
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Pages (process/pages.h).
struct page metrics_prometheus(void *status);
struct page metrics_balancer(void *status);
