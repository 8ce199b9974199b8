// Counters for Prometheus (text format 0.0.4) and for load balancers (JSON).
#pragma once

#include "gateway/client/conn_table.h"
#include "gateway/process/status.h"

// Answers /metrics and /metrics/sse. False where `path` is neither.
bool metrics_page(const struct status *s, const char *path, size_t path_len, struct client_page *out);
