#include "gateway/redis/ask_redirect.h"

#include <stdlib.h>

#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"

// Seconds between two looks at whether the redirection is still of use.
#define CHECK_S 2.0

struct ask_redirect {
    struct commands_settings settings; // those of redirected_from
    struct commands *redirected_from;
    struct ev_loop *loop;
    struct commands *queue; // at the other node; NULL: none
    struct redis_url url;   // of that node
    ev_timer check;
};

static void close_queue(struct ask_redirect *r)
{
    ev_timer_stop(r->loop, &r->check);
    commands_destroy(r->queue);
    redis_url_deinit(&r->url);
    r->queue = NULL;
}

static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct ask_redirect *r = timer->data;
    if (commands_is_idle(r->queue))
        close_queue(r);
}

static bool open_queue(struct ask_redirect *r, const struct redis_address *node)
{
    struct commands_settings settings = r->settings;
    if (!cluster_node_url(r->settings.url, node, &r->url))
        return false;
    settings.url = &r->url;
    settings.redirected_from = r->redirected_from;
    settings.on_ready = settings.on_down = NULL;
    r->queue = commands_create(r->loop, &settings);
    if (r->queue)
        ev_timer_again(r->loop, &r->check);
    else
        redis_url_deinit(&r->url);
    return r->queue != NULL;
}

struct commands *ask_redirect_at(struct ask_redirect *r, const char *error)
{
    const struct redis_url *url = r->settings.url;
    struct cluster_moved ask;
    if (!cluster_ask_parse(error, url->endpoint_count > 0 ? url->endpoints[0].host : "", &ask))
        return NULL;
    if (r->queue) // one redirection at a time
        return redis_address_equal(&ask.to, &r->url.endpoints[0]) ? r->queue : NULL;
    return open_queue(r, &ask.to) ? r->queue : NULL;
}

struct ask_redirect *ask_redirect_create(struct ev_loop *loop, const struct commands_settings *settings,
                                         struct commands *redirected_from)
{
    struct ask_redirect *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->settings = *settings;
    r->redirected_from = redirected_from;
    r->loop = loop;
    ev_timer_init(&r->check, on_check, 0., CHECK_S);
    r->check.data = r;
    return r;
}

void ask_redirect_destroy(struct ask_redirect *r)
{
    if (!r)
        return;
    close_queue(r);
    free(r);
}
