// One connection to the Redis server of a URL under libev: finds the server (redis_discovery), connects
// (redis_link), authenticates, notices a server that is dead, and tries again with jittered backoff, for
// ever. RESP2 over hiredis' reader. Not hiredis' asynchronous layer: it has no TLS before 1.0 and ends the
// process at the first sharded message. On the bus' thread alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/redis/redis_reader.h"

struct redis_conn;

struct redis_conn_settings {
    const struct redis_url *url; // borrowed; any kind but CLUSTER. Where it says TLS, with a tls_context
    const char *purpose;         // for logs: "subscriber"; static
    const char *client_name;     // CLIENT SETNAME; borrowed
    bool quiet; // outages are logged at debug: another connection to this server logs them, too
    struct redis_limits limits; // of replies; a larger one ends the connection, or is skipped
    // How replies are built (read.h of hiredis); redis_reader_context gives `ctx`. NULL: redisReply objects,
    // which on_reply frees.
    const redisReplyObjectFunctions *functions;

    void (*on_ready)(void *ctx); // connected and authenticated: commands may be sent
    // redis_conn sends a PING, between the commands of its user: the answer comes to on_reply. May be NULL.
    void (*on_ping)(void *ctx);
    // A whole reply. False: the reply makes no sense here; the connection is replaced.
    bool (*on_reply)(void *ctx, void *reply);
    // A bulk string of `len` bytes, more than limits.bulk, was skipped in the reply that is being read. May be
    // NULL.
    void (*on_skipped)(void *ctx, size_t len);
    // An attempt to connect has failed, for a reason in one line; the next one follows. May be NULL.
    void (*on_fault)(void *ctx, const char *why);
    void (*on_down)(void *ctx); // a connection that was ready is gone
    void *ctx;
};

#define REDIS_FAULT_MAX 160u // bytes, terminated

// For a page.
struct redis_conn_view {
    const char *purpose; // static
    // That it was made to, or tried last; the URL before that. Without secrets.
    char address[REDIS_HOST_SIZE + 16];
    bool is_ready;
    char error[REDIS_FAULT_MAX]; // why it was last lost or not made; empty: never
    uint64_t error_at_ms;        // monotonic
};

// Begins to connect in the next turn of the loop. `settings` is copied. NULL when out of memory.
struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct redis_conn_settings *settings);
void redis_conn_destroy(struct redis_conn *c);

// Queues a command; the queue is sent at the end of the turn, and lost when the connection goes down. False
// when not ready or out of memory.
bool redis_conn_send(struct redis_conn *c, int argc, const char **argv, const size_t *lens);

// Writes now what is queued, as far as the socket takes it.
void redis_conn_flush(struct redis_conn *c);

bool redis_conn_is_ready(const struct redis_conn *c);

// Redis did what a command asked for: the outage is over, backoff and log begin anew. Being connected is not
// enough: a server that is full takes connections, answers the first command with an error, and closes. Where
// `functions` are set, the user of the connection calls this; else each reply after on_ready that is no error
// does.
void redis_conn_worked(struct redis_conn *c);

// Why the connection was last lost or not made, in one line; empty where it has worked since. Valid until the
// next call.
const char *redis_conn_fault(const struct redis_conn *c);
void redis_conn_look(const struct redis_conn *c, struct redis_conn_view *out);
// Bytes of all strings of the reply that is being read or handled, with those that were skipped or left out.
size_t redis_conn_reply_bytes(const struct redis_conn *c);
// Monotonic nanoseconds: when the bytes of that reply were read.
uint64_t redis_conn_read_at_ns(const struct redis_conn *c);
// Reads the socket now, without waiting for the loop to report it readable. No effect when not ready.
void redis_conn_read(struct redis_conn *c);
// Closes the connection and makes a new one. `why` is for the log.
void redis_conn_replace(struct redis_conn *c, const char *why);
