// The bytes to and from one server: resolves its name, connects, and does the TLS handshake where there is a
// context. Never blocks, and does not know what the bytes mean. Owns no timer: the user of a link closes it
// when an attempt takes too long. On the thread of the loop alone.
//
//      CLOSED --open--> RESOLVING --> CONNECTING --> SECURING --> OPEN       (names only; TLS only)
//         ^                 |             |              |          |
//         +-- on_lost ------+-------------+--------------+----------+
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/redis_url.h"
#include "common/transport.h"
#include "common/lookup.h"

enum redis_link_state {
    REDIS_LINK_CLOSED,
    REDIS_LINK_RESOLVING,
    REDIS_LINK_CONNECTING,
    REDIS_LINK_SECURING,
    REDIS_LINK_OPEN,
};

struct redis_link_hooks {
    void (*on_open)(void *ctx);
    // At most 16 KiB that came; valid during the call. May close the link.
    void (*on_bytes)(void *ctx, const char *bytes, size_t len);
    // The link could not be opened, or is lost; its state is CLOSED already. `why` is one line.
    void (*on_lost)(void *ctx, const char *why);
    void *ctx;
};

struct redis_link {
    struct ev_loop *loop;
    struct tls_context *secure; // borrowed; NULL: plain
    struct redis_link_hooks hooks;
    enum redis_link_state state;
    struct redis_address address;
    ev_io io;
    ev_timer flush;        // writes at the end of a turn what was queued in it
    struct lookup *lookup; // of lookup_address, while it runs
    struct redis_address lookup_address;
    struct transport transport;
    struct buf out;
    size_t out_sent;
    // Monotonic: when the bytes that on_bytes has were read, or the first of them that came together.
    uint64_t read_at_ns;
    unsigned reads;   // reads that brought bytes, so far
    bool in_hook;     // on_bytes runs
    unsigned attempt; // takes the addresses of a name in turn
};

void redis_link_init(struct redis_link *l, struct ev_loop *loop, struct tls_context *secure,
                     const struct redis_link_hooks *hooks);
void redis_link_deinit(struct redis_link *l);

// Begins to connect; of a host with several addresses, each attempt takes the next one. on_lost may be called
// before this returns.
void redis_link_open(struct redis_link *l, const struct redis_address *address);
// Calls no hook. The queue is lost. A lookup goes on, and the next attempt uses it.
void redis_link_close(struct redis_link *l);

// Queues a command, which is sent at the end of the turn. Only when OPEN. False when out of memory.
bool redis_link_send(struct redis_link *l, int argc, const char **argv, const size_t *lens);
// Writes now what is queued, as far as the socket takes it. No effect unless OPEN.
void redis_link_flush(struct redis_link *l);
// Reads the socket now, without waiting for the loop to report it readable. No effect unless OPEN, nor from
// within on_bytes.
void redis_link_read(struct redis_link *l);
// One line for the log of an attempt that took too long: the step that it waits for.
const char *redis_link_late(const struct redis_link *l);

// False where it is OPEN to an address that is not among those in `found`, of any port.
bool redis_link_is_at(const struct redis_link *l, const struct addrinfo *found);
