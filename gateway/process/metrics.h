// The metrics (fanout/metric_list.h) for Prometheus, in its text format 0.0.4 and in OpenMetrics 1.0; and for load
// balancers, in JSON.
#pragma once

#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Pages (process/pages.h).
struct page metrics_prometheus(void *status);
struct page metrics_openmetrics(void *status);
struct page metrics_balancer(void *status);
