// Name resolution in a thread of its own: getaddrinfo(3) may take half a minute, in which a loop would do
// nothing else, and has no timeout. The thread is detached, and shares the lookup and an eventfd with the one
// that asks.
#pragma once

#include <ev.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

struct lookup;

// Begins to resolve `host` and `port` (copied). `on_done` is called on the loop's thread, once: with the
// addresses (owned by the lookup), or NULL and one line. `loop` NULL: the caller waits by lookup_wait. NULL where
// there is no memory, descriptor or thread.
struct lookup *lookup_start(struct ev_loop *loop, const char *host, unsigned short port,
                            void (*on_done)(void *ctx, const struct addrinfo *found, const char *error),
                            void *ctx);
// Frees the lookup, at the latest when its thread ends; `on_done` is not called any more. `l` may be NULL.
void lookup_release(struct lookup *l);

// Waits for the thread, at most `timeout_ms`. False where it has not ended by then. Of a lookup without a loop.
bool lookup_wait(struct lookup *l, uint64_t timeout_ms);
// The addresses, which are the caller's from now on (freeaddrinfo); NULL, and one line, where there are none.
// After lookup_wait.
struct addrinfo *lookup_take(struct lookup *l, const char **error);

// The thread has ended: on_done was called, is about to be, or will never be, where the loop could not be
// woken.
bool lookup_is_over(const struct lookup *l);

// The address of a host that is one already, without a resolver; NULL where the host is a name. The caller
// frees it (freeaddrinfo).
struct addrinfo *lookup_numeric(const char *host, unsigned short port);
