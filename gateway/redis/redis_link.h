// The bytes to and from one server: its name resolved, its socket connected, TLS where it is asked for.
// Nothing here waits, and nothing here knows what the bytes mean. Owns no timer: whoever opens a link gives
// it up in time.
//
//      CLOSED --open--> RESOLVING --> CONNECTING --> SECURING --> OPEN       (names only; TLS only)
//         ^                 |             |              |          |
//         +-- on_lost ------+-------------+--------------+----------+
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "gateway/redis/lookup.h"
#include "common/redis_tls.h"

// Where a server is. A value, so that it outlives what named it.
struct redis_address {
    const char *unix_path; // of the URL, borrowed; NULL: a host and a port
    char host[REDIS_HOST_SIZE];
    unsigned short port;
};

enum redis_link_state {
    REDIS_LINK_CLOSED,
    REDIS_LINK_RESOLVING,
    REDIS_LINK_CONNECTING,
    REDIS_LINK_SECURING,
    REDIS_LINK_OPEN,
};

struct redis_link_hooks {
    void (*on_open)(void *ctx);
    // Bytes that came, at most 16 KiB; valid during the call. It may close the link.
    void (*on_bytes)(void *ctx, const char *bytes, size_t len);
    // It could not be opened, or is gone; it is CLOSED already. `why` is one line.
    void (*on_lost)(void *ctx, const char *why);
    void *ctx;
};

struct redis_link {
    struct ev_loop *loop;
    struct redis_tls_context *secure; // borrowed; NULL: plain
    struct redis_link_hooks hooks;
    enum redis_link_state state;
    struct redis_address address;
    ev_io io;
    ev_timer flush;        // what was queued in a turn leaves at its end
    struct lookup *lookup; // of lookup_address, while it runs
    struct redis_address lookup_address;
    struct redis_tls *tls; // of this connection; NULL: plain
    struct buf out;
    size_t out_sent;
    unsigned reads;   // that brought bytes, so far
    unsigned attempt; // takes the addresses of a name in turn
};

void redis_link_init(struct redis_link *l, struct ev_loop *loop, struct redis_tls_context *secure,
                     const struct redis_link_hooks *hooks);
void redis_link_deinit(struct redis_link *l);

// Begins to connect. Of a host with several addresses, each attempt takes the next one. A failure that shows
// at once is told before this returns.
void redis_link_open(struct redis_link *l, const struct redis_address *address);
// Without a word to the hooks. What was queued is lost. A lookup goes on, for the next attempt to find.
void redis_link_close(struct redis_link *l);

// Queues a command, which leaves at the end of the turn. Only when OPEN. False when out of memory.
bool redis_link_send(struct redis_link *l, int argc, const char **argv, const size_t *lens);
// Reads what has come, without waiting for the loop to say so. No effect unless OPEN.
void redis_link_read(struct redis_link *l);
// Why an attempt has taken too long, by what it is waiting for.
const char *redis_link_late(const struct redis_link *l);

// "127.0.0.1:6379", "[::1]:6379" or the path of a socket. Always terminated.
void redis_address_describe(const struct redis_address *address, char *out, size_t size);
bool redis_address_equal(const struct redis_address *a, const struct redis_address *b);
// False where it is OPEN to an address that is not among those in `found`, of any port.
bool redis_link_is_at(const struct redis_link *l, const struct addrinfo *found);
