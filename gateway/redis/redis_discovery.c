#include "gateway/redis/redis_discovery.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/jitter.h"
#include "common/log.h"
#include "common/lookup.h"
#include "gateway/redis/sentinel.h"

#define LOOK_MS 5000u // up to twice that between two looks
#define LOOKS                                                                                                \
    2u // in a row that miss the connected address: one may have met a name in the middle of a change

struct redis_discovery {
    LIST_ENTRY(redis_discovery) in_discoveries;
    struct ev_loop *loop;
    const struct redis_url *url;
    struct sentinel *sentinel; // NULL: the server is where the URL says
    bool said_fault;           // the fault was logged
    ev_timer look;             // resolves the name of the connected server again
    struct lookup *lookup;     // while that runs
    unsigned missed;           // looks in a row that did not find the address of some connection
    uint64_t random;
    TAILQ_HEAD(discovery_clients, redis_discovery_client) clients;
};

// A discovery belongs to one loop, hence to one thread; the list is looked at only when a connection is
// created or destroyed.
static LIST_HEAD(redis_discoveries, redis_discovery) discoveries = LIST_HEAD_INITIALIZER(discoveries);
static pthread_mutex_t discoveries_lock = PTHREAD_MUTEX_INITIALIZER;

// A round of the sentinels is over, with a result.
static void on_master(void *ctx, const struct redis_address *address, const char *error)
{
    struct redis_discovery *discovery = ctx;
    struct redis_discovery_client *f;
    bool asked = false;
    TAILQ_FOREACH(f, &discovery->clients, in_discovery)
    {
        bool asks = f->asking;
        f->asking = false;
        asked |= asks;
        if (asks)
            f->on_address(f->ctx, address, error);
        else if (address && !redis_address_equal(address, &f->link->address))
            f->on_moved(f->ctx, "the master is another one now");
    }
    // A client that asked logs the error itself. While the master is well no client asks, and a failover
    // would go unnoticed.
    if (error && !asked && !discovery->said_fault)
        log_warn("redis", "cannot watch for a failover: %s", error);
    discovery->said_fault = error != NULL;
}

// A name or service address can move while the old server lives on: its connections stay open, and receive
// nothing of what is published at the new one. Only resolving the name again shows that.
static void on_looked(void *ctx, const struct addrinfo *found, const char *error)
{
    struct redis_discovery *discovery = ctx;
    struct redis_discovery_client *f;
    bool missed = false;
    TAILQ_FOREACH(f, &discovery->clients, in_discovery)
    missed |= found && !redis_link_is_at(f->link, found);
    log_debug("redis", "looked for the name of Redis again: %s",
              error    ? error
              : missed ? "it leads to another address"
                       : "the address is the same");
    discovery->missed = missed ? discovery->missed + 1 : 0;
    bool moved = discovery->missed >= LOOKS;
    if (moved)
        discovery->missed = 0;
    TAILQ_FOREACH(f, &discovery->clients, in_discovery)
    if (moved && !redis_link_is_at(f->link, found))
        f->on_moved(f->ctx, "its name leads to another address now");
    lookup_release(discovery->lookup);
    discovery->lookup = NULL;
}

static void look(struct redis_discovery *discovery)
{
    struct redis_discovery_client *f = TAILQ_FIRST(&discovery->clients);
    while (f && f->link->state != REDIS_LINK_OPEN)
        f = TAILQ_NEXT(f, in_discovery);
    if (discovery->lookup && !lookup_is_over(discovery->lookup))
        return;
    lookup_release(discovery->lookup);
    discovery->lookup = NULL;
    if (!f || f->link->address.unix_path)
        return;
    struct addrinfo *numeric = lookup_numeric(f->link->address.host, f->link->address.port);
    if (numeric) {
        freeaddrinfo(numeric);
        return;
    }
    // Where memory or threads have run out, the next look tries again.
    discovery->lookup =
        lookup_start(discovery->loop, f->link->address.host, f->link->address.port, on_looked, discovery);
}

static void look_later(struct redis_discovery *discovery)
{
    ev_timer_set(&discovery->look, jitter_ms(&discovery->random, LOOK_MS) / 1000.0, 0.);
    ev_timer_start(discovery->loop, &discovery->look);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    struct redis_discovery *discovery = w->data;
    look(discovery);
    look_later(discovery);
}

static struct redis_discovery *discovery_create(struct ev_loop *loop, const struct redis_url *url)
{
    struct redis_discovery *discovery = calloc(1, sizeof *discovery);
    if (!discovery)
        return NULL;
    discovery->loop = loop;
    discovery->url = url;
    TAILQ_INIT(&discovery->clients);
    if (url->kind == REDIS_URL_SENTINEL &&
        !(discovery->sentinel = sentinel_create(loop, url, on_master, discovery))) {
        free(discovery);
        return NULL;
    }
    discovery->random = jitter_seed();
    ev_timer_init(&discovery->look, on_look, 0., 0.);
    discovery->look.data = discovery;
    look_later(discovery);
    return discovery;
}

static struct redis_discovery *discovery_find(const struct ev_loop *loop, const struct redis_url *url)
{
    struct redis_discovery *discovery = LIST_FIRST(&discoveries);
    while (discovery && (discovery->loop != loop || discovery->url != url))
        discovery = LIST_NEXT(discovery, in_discoveries);
    return discovery;
}

struct redis_discovery *redis_discovery_join(struct ev_loop *loop, const struct redis_url *url,
                                             struct redis_discovery_client *client)
{
    struct redis_discovery *discovery;
    (void)pthread_mutex_lock(&discoveries_lock); // cannot fail for a mutex of the default kind
    discovery = discovery_find(loop, url);
    if (!discovery && (discovery = discovery_create(loop, url)))
        LIST_INSERT_HEAD(&discoveries, discovery, in_discoveries);
    (void)pthread_mutex_unlock(&discoveries_lock);
    if (!discovery)
        return NULL;
    client->asking = false;
    TAILQ_INSERT_TAIL(&discovery->clients, client, in_discovery);
    return discovery;
}

void redis_discovery_leave(struct redis_discovery *discovery, struct redis_discovery_client *client)
{
    assert(!TAILQ_EMPTY(&discovery->clients));
    TAILQ_REMOVE(&discovery->clients, client, in_discovery);
    if (!TAILQ_EMPTY(&discovery->clients))
        return;
    (void)pthread_mutex_lock(&discoveries_lock);
    LIST_REMOVE(discovery, in_discoveries);
    (void)pthread_mutex_unlock(&discoveries_lock);
    ev_timer_stop(discovery->loop, &discovery->look);
    lookup_release(discovery->lookup);
    sentinel_destroy(discovery->sentinel);
    free(discovery);
}

void redis_discovery_ask(struct redis_discovery *discovery, struct redis_discovery_client *client)
{
    const struct redis_url *url = discovery->url;
    if (discovery->sentinel) {
        client->asking = true;
        sentinel_ask(discovery->sentinel);
        return;
    }
    const struct redis_address socket = {.unix_path = url->unix_path};
    client->on_address(client->ctx, url->unix_path ? &socket : &url->endpoints[0], NULL);
}
