#include "gateway/process/admin.h"

#include "gateway/process/pages.h"

bool admin_start(struct admin *a, struct ev_loop *loop, const struct client_settings *settings,
                 struct counters *counters, struct status *status, bool show_channels,
                 const struct listen_socket *listening)
{
    *a = (struct admin){.limits = {.max_sockets = ADMIN_CONNECTIONS_MAX}};
    struct client_hooks hooks = {.pages = process_pages, .ctx = status};
    const struct client_loop_setup setup = {.index = CLIENT_LOOP_MAIN,
                                            .loop = loop,
                                            .settings = settings,
                                            .hooks = &hooks,
                                            .counters = counters,
                                            .limits = &a->limits};
    if (!client_loop_init(&a->clients, &setup) ||
        !dashboard_init(&a->dashboard, &a->clients.context, status, show_channels)) {
        client_loop_deinit(&a->clients);
        return false;
    }
    a->clients.context.policy.cors_origin_count = 0;
    status->dashboard = &a->dashboard;
    a->listening = listening->fd >= 0;
    if (a->listening)
        listener_start(&a->listener, &a->clients, listening);
    return true;
}

void admin_stop(struct admin *a)
{
    if (a->listening)
        listener_close(&a->listener);
    dashboard_stop(&a->dashboard);
    client_loop_deinit(&a->clients);
}
