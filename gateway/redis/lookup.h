// Name resolution off the loop: getaddrinfo(3) may take half a minute, in which the bus would deliver
// nothing. A lookup is one detached thread; it shares the lookup and an eventfd with the loop.
#pragma once

#include <ev.h>
#include <netdb.h>
#include <stdbool.h>

struct lookup;

// Begins to resolve `host` and `port` (copied). `on_done` is called on the loop's thread, once: with the
// addresses (owned by the lookup), or NULL and one line. NULL where there is no memory, descriptor or thread.
struct lookup *lookup_start(struct ev_loop *loop, const char *host, unsigned short port,
                            void (*on_done)(void *ctx, const struct addrinfo *found, const char *error),
                            void *ctx);
// Frees the lookup, at the latest when its thread ends; `on_done` is not called any more. `l` may be NULL.
void lookup_release(struct lookup *l);

// The thread has ended: on_done was called, is about to be, or will never be, where the loop could not be
// woken.
bool lookup_is_over(const struct lookup *l);

// The address of a host that is one already, without a resolver; NULL where the host is a name. The caller
// frees it (freeaddrinfo).
struct addrinfo *lookup_numeric(const char *host, unsigned short port);
