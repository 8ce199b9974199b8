#include "gateway/redis/history_ask_redirect.h"

#include <stdlib.h>

#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"

// Seconds between two looks at whether the redirection is still of use.
#define CHECK_S 2.0

struct history_ask_redirect {
    struct history_settings settings; // those of redirected_from
    struct history *redirected_from;
    struct ev_loop *loop;
    struct history *history; // NULL: nobody is anywhere
    struct redis_url url;    // where it is
    ev_timer check;
};

static void come_back(struct history_ask_redirect *g)
{
    ev_timer_stop(g->loop, &g->check);
    history_destroy(g->history);
    redis_url_deinit(&g->url);
    g->history = NULL;
}

static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct history_ask_redirect *g = timer->data;
    if (history_is_idle(g->history))
        come_back(g);
}

static bool go_to(struct history_ask_redirect *g, const struct redis_address *node)
{
    struct history_settings settings = g->settings;
    if (!cluster_node_url(g->settings.url, node, &g->url))
        return false;
    settings.url = &g->url;
    settings.redirected_from = g->redirected_from;
    g->history = history_create(g->loop, &settings);
    if (g->history)
        ev_timer_again(g->loop, &g->check);
    else
        redis_url_deinit(&g->url);
    return g->history != NULL;
}

struct history *history_ask_redirect_at(struct history_ask_redirect *g, const char *error)
{
    struct cluster_moved ask;
    if (!cluster_ask_parse(error, g->settings.url->endpoints[0].host, &ask))
        return NULL;
    if (g->history)
        return redis_address_equal(&ask.to, &g->url.endpoints[0]) ? g->history : NULL; // one after the other
    return go_to(g, &ask.to) ? g->history : NULL;
}

struct history_ask_redirect *history_ask_redirect_create(struct ev_loop *loop,
                                                         const struct history_settings *settings,
                                                         struct history *redirected_from)
{
    struct history_ask_redirect *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->settings = *settings;
    g->redirected_from = redirected_from;
    g->loop = loop;
    ev_timer_init(&g->check, on_check, 0., CHECK_S);
    g->check.data = g;
    return g;
}

void history_ask_redirect_destroy(struct history_ask_redirect *g)
{
    if (!g)
        return;
    come_back(g);
    free(g);
}
