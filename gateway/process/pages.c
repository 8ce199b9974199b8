#include "gateway/process/pages.h"

#include "gateway/process/dashboard.h"
#include "gateway/process/health.h"
#include "gateway/process/health_detailed.h"
#include "gateway/process/metrics.h"

#define EVERYWHERE (LISTENER_PUBLIC | LISTENER_ADMIN)

const struct route process_pages[] = {
    {.path = "/health/live", .methods = ROUTE_PAGE_METHODS, .roles = EVERYWHERE, .page = health_live},
    {.path = "/health/ready", .methods = ROUTE_PAGE_METHODS, .roles = EVERYWHERE, .page = health_ready},
    {.path = "/health/detailed",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_PUBLIC,
     .page = health_detailed},
    {.path = "/health/detailed",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_ADMIN,
     .page = health_detailed_admin},
    {.path = "/metrics",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_ADMIN,
     .page = metrics_prometheus,
     .openmetrics = metrics_openmetrics},
    {.path = "/metrics/sse",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_ADMIN,
     .page = metrics_balancer},
    {.path = "/dashboard",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_ADMIN,
     .local_host = true,
     .page = dashboard_page},
    {.path = "/dashboard/events",
     .methods = ROUTE_PAGE_METHODS,
     .roles = LISTENER_ADMIN,
     .local_host = true,
     .handle = dashboard_events},
    {0},
};
