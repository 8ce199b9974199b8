// One connection to the Redis server of a URL under libev: finds it (redis_discovery), connects (redis_link),
// authenticates, notices when the server is dead, and tries again with jittered backoff, for ever. RESP2 over
// hiredis' reader; the socket is ours, since hiredis' asynchronous layer has no TLS before 1.0 and ends the
// process at the first sharded message. The bus thread's alone.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/redis_url.h"
#include "gateway/redis/redis_reader.h"

struct redis_conn;

struct redis_conn_settings {
    const struct redis_url *url; // borrowed; any kind but CLUSTER. Where it says TLS, with a tls_context
    const char *purpose;         // for logs: "subscriber"; static
    const char *client_name;     // CLIENT SETNAME; borrowed
    bool quiet;                 // its outages are another connection's news, too: log them for debugging only
    struct redis_limits limits; // of replies; larger ones end the connection, or are skipped
    // How replies are built (read.h of hiredis); redis_reader_context gives `ctx`. NULL: redisReply objects, which
    // on_reply frees.
    const redisReplyObjectFunctions *functions;

    void (*on_ready)(void *ctx); // connected and authenticated: commands may be sent
    // A PING of this connection's own goes out, between the commands of others: its answer comes to on_reply.
    // May be NULL.
    void (*on_ping)(void *ctx);
    // A whole reply. False: it makes no sense here, and the connection is to be replaced.
    bool (*on_reply)(void *ctx, void *reply);
    void (*on_skipped)(void *ctx,
                       size_t len); // the bulk of the reply that is being read was larger than limits.bulk
    // An attempt to connect has failed, for a reason in one line; the next one follows. May be NULL.
    void (*on_fault)(void *ctx, const char *why);
    void (*on_down)(void *ctx); // a connection that was ready is gone
    void *ctx;
};

// Begins to connect in the next turn of the loop. `settings` is copied. NULL when out of memory.
struct redis_conn *redis_conn_create(struct ev_loop *loop, const struct redis_conn_settings *settings);
void redis_conn_destroy(struct redis_conn *c);

// Queues a command; all that is queued leaves at the end of the turn. Only while ready; lost when the
// connection goes down. False when not ready or out of memory.
bool redis_conn_send(struct redis_conn *c, int argc, const char **argv, const size_t *lens);

bool redis_conn_is_ready(const struct redis_conn *c);

// Redis did what a command asked for: the outage is over, so the next one is logged anew and its first attempt follows
// soon. A server that is full takes connections, even answers, and ends them: none of that is a success.
// With `functions` the caller says so; without, each reply in READY that is no error does.
void redis_conn_worked(struct redis_conn *c);

// Reads what has come, without waiting for the loop to say so. No effect when not ready.
void redis_conn_read(struct redis_conn *c);
// Gives this connection up and makes a new one. `why` is for the log.
void redis_conn_replace(struct redis_conn *c, const char *why);
