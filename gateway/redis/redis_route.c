#include "gateway/redis/redis_route.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "gateway/redis/sentinel.h"

struct redis_route {
    LIST_ENTRY(redis_route) in_routes;
    struct ev_loop *loop;
    const struct redis_url *url;
    struct sentinel *sentinel; // NULL: the server is where the URL says
    bool said_fault;           // the log has it
    TAILQ_HEAD(redis_followers, redis_follower) followers;
};

// A route belongs to one loop, hence to one thread; the list is looked at only when a connection is created
// or destroyed.
static LIST_HEAD(redis_routes, redis_route) routes = LIST_HEAD_INITIALIZER(routes);
static pthread_mutex_t routes_lock = PTHREAD_MUTEX_INITIALIZER;

// A round of the sentinels is over, with a result.
static void on_master(void *ctx, const struct redis_place *place, const char *error)
{
    struct redis_route *route = ctx;
    struct redis_follower *f;
    bool asked = false;
    TAILQ_FOREACH(f, &route->followers, in_route)
    {
        bool asks = f->asking;
        f->asking = false;
        asked |= asks;
        if (asks)
            f->on_place(f->ctx, place, error);
        else if (place)
            f->on_moved(f->ctx, place);
    }
    // Who asked logs it. Nobody asks while the master is well, and yet a failover would not be heard of.
    if (error && !asked && !route->said_fault)
        log_warn("redis", "cannot watch for a failover: %s", error);
    route->said_fault = error != NULL;
}

static struct redis_route *route_create(struct ev_loop *loop, const struct redis_url *url)
{
    struct redis_route *route = calloc(1, sizeof *route);
    if (!route)
        return NULL;
    route->loop = loop;
    route->url = url;
    TAILQ_INIT(&route->followers);
    if (url->kind == REDIS_URL_SENTINEL &&
        !(route->sentinel = sentinel_create(loop, url, on_master, route))) {
        free(route);
        return NULL;
    }
    return route;
}

static struct redis_route *route_find(const struct ev_loop *loop, const struct redis_url *url)
{
    struct redis_route *route = LIST_FIRST(&routes);
    while (route && (route->loop != loop || route->url != url))
        route = LIST_NEXT(route, in_routes);
    return route;
}

struct redis_route *redis_route_join(struct ev_loop *loop, const struct redis_url *url,
                                     struct redis_follower *follower)
{
    struct redis_route *route;
    (void)pthread_mutex_lock(&routes_lock); // it fails for no mutex of the default kind
    route = route_find(loop, url);
    if (!route && (route = route_create(loop, url)))
        LIST_INSERT_HEAD(&routes, route, in_routes);
    (void)pthread_mutex_unlock(&routes_lock);
    if (!route)
        return NULL;
    follower->asking = false;
    TAILQ_INSERT_TAIL(&route->followers, follower, in_route);
    return route;
}

void redis_route_leave(struct redis_route *route, struct redis_follower *follower)
{
    TAILQ_REMOVE(&route->followers, follower, in_route);
    if (!TAILQ_EMPTY(&route->followers))
        return;
    (void)pthread_mutex_lock(&routes_lock);
    LIST_REMOVE(route, in_routes);
    (void)pthread_mutex_unlock(&routes_lock);
    sentinel_destroy(route->sentinel);
    free(route);
}

void redis_route_ask(struct redis_route *route, struct redis_follower *follower)
{
    const struct redis_url *url = route->url;
    struct redis_place place = {.unix_path = url->unix_path};
    if (route->sentinel) {
        follower->asking = true;
        sentinel_ask(route->sentinel);
        return;
    }
    if (!url->unix_path) {
        snprintf(place.host, sizeof place.host, "%s", url->endpoints[0].host);
        place.port = url->endpoints[0].port;
    }
    follower->on_place(follower->ctx, &place, NULL);
}

bool redis_route_wants_master(const struct redis_route *route)
{
    return route->sentinel != NULL;
}
