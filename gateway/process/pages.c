#include "gateway/process/pages.h"

#include "gateway/process/health.h"
#include "gateway/process/metrics.h"

#define EVERYWHERE (LISTENER_PUBLIC | LISTENER_ADMIN)

// path, methods, roles, page
#define PAGES(X)                                                                                             \
    X("/health/live", ROUTE_PAGE_METHODS, EVERYWHERE, health_live)                                           \
    X("/health/ready", ROUTE_PAGE_METHODS, EVERYWHERE, health_ready)                                         \
    X("/health/detailed", ROUTE_PAGE_METHODS, EVERYWHERE, health_detailed)                                   \
    X("/metrics", ROUTE_PAGE_METHODS, LISTENER_ADMIN, metrics_prometheus)                                    \
    X("/metrics/sse", ROUTE_PAGE_METHODS, LISTENER_ADMIN, metrics_balancer)

#define X(at, allowed, listeners, make)                                                                      \
    {.path = (at), .methods = (allowed), .roles = (listeners), .page = (make)},
const struct route process_pages[] = {PAGES(X){0}};
#undef X
