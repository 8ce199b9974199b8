#include "gateway/process/admin.h"

#include "gateway/process/health.h"
#include "gateway/process/metrics.h"

static const char *on_refuse(void *ctx)
{
    (void)ctx;
    return "There are no streams here.";
}

static bool on_page(void *ctx, const struct http_request *req, struct page *out)
{
    const struct admin *a = ctx;
    return health_page(a->status, req, out) || metrics_page(a->status, req, out);
}

bool admin_start(struct admin *a, struct ev_loop *loop, const struct client_settings *settings,
                 struct counters *counters, struct status *status, int fd)
{
    *a = (struct admin){.status = status};
    struct client_hooks hooks = {.refuse = on_refuse, .page = on_page, .ctx = a};
    if (!client_loop_init(&a->clients, CLIENT_LOOP_MAIN, loop, settings, &hooks, counters))
        return false;
    a->listening = fd >= 0;
    if (a->listening)
        listener_start(&a->listener, &a->clients, fd);
    return true;
}

void admin_stop(struct admin *a)
{
    if (a->listening)
        listener_close(&a->listener);
    client_loop_deinit(&a->clients);
}
