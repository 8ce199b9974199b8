#include "gateway/redis/ask_redirect.h"

#include "gateway/redis/cluster_map.h"
#include "gateway/redis/cluster_slots.h"
#include "gateway/redis/command_queue.h"

// Seconds between two looks at whether the redirection is still of use.
#define CHECK_S 2.0

void ask_redirect_close(struct commands *owner)
{
    struct ask_redirect *r = &owner->ask_redirect;
    ev_timer_stop(owner->loop, &r->check);
    commands_destroy(r->queue);
    redis_url_deinit(&r->url);
    r->queue = NULL;
}

static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct commands *owner = timer->data;
    if (commands_is_idle(owner->ask_redirect.queue))
        ask_redirect_close(owner);
}

struct commands *ask_redirect_at(struct commands *owner, const char *error)
{
    struct ask_redirect *r = &owner->ask_redirect;
    struct commands_settings settings = owner->settings;
    const struct redis_url *url = settings.url;
    struct cluster_moved ask;
    if (!cluster_ask_parse(error, url->endpoint_count > 0 ? url->endpoints[0].host : "", &ask))
        return NULL;
    if (r->queue) // one redirection at a time
        return redis_address_equal(&ask.to, &r->url.endpoints[0]) ? r->queue : NULL;
    if (!cluster_node_url(url, &ask.to, &r->url))
        return NULL;
    settings.url = &r->url;
    settings.redirected_from = owner;
    settings.on_ready = settings.on_down = NULL;
    r->queue = commands_create(owner->loop, &settings);
    if (r->queue)
        ev_timer_again(owner->loop, &r->check);
    else
        redis_url_deinit(&r->url);
    return r->queue;
}

void ask_redirect_init(struct commands *owner)
{
    ev_timer_init(&owner->ask_redirect.check, on_check, 0., CHECK_S);
    owner->ask_redirect.check.data = owner;
}
