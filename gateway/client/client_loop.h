// The client side of one loop: owns its connections, hub, pools and timers, and drives the turn. One thread.
//
// A turn is one round of the event loop. Within it frames are queued on connections, which become dirty, and
// connections that are over are marked. At its end (an ev_prepare watcher, just before the loop sleeps) every
// dirty connection gets one write, and what was marked is freed: so nothing is freed while a fan-out uses it.
#pragma once

#include "gateway/client/client_context.h"
#include "gateway/client/client_drain.h"

struct client_loop {
    struct client_context context;
    ev_prepare end_of_turn;
    ev_idle
        feeding; // runs while there is more to do for lagging streams or handshakes: the loop does not sleep
    ev_timer tick;
    uint64_t last_tick_ms;
    bool is_late; // this tick
    struct client_drain drain;
};

#define CLIENT_LOOP_MAIN 65535u // index of the loop that serves the admin listener

struct client_loop_setup {
    unsigned index;       // below 65536, of this loop alone: for ids of connections
    struct ev_loop *loop; // borrowed, as all that follows
    const struct client_settings *settings;
    const struct client_hooks *hooks; // copied
    struct counters *counters;
    struct limits *limits; // shared with other loops
};

// Sets up `l`, without streams. False when out of memory.
bool client_loop_init(struct client_loop *l, const struct client_loop_setup *setup);
// Gives the loop a hub: it can hold streams. Of `bus` only the callbacks to the bus (on_interest, on_history)
// and their `ctx` are used; those to streams are filled in here.
bool client_loop_enable_streams(struct client_loop *l, const struct hub_events *bus);
// Closes every connection at once.
void client_loop_deinit(struct client_loop *l);

// Takes over a connected socket (non-blocking, close-on-exec) that came by a listener with these attributes.
// `peer`: its other end (borrowed); NULL where client_settings_need_peers() is false.
void client_loop_add(struct client_loop *l, int fd, const struct listen_attributes *from,
                     const struct peer_address *peer);

// Hands `f` (taken) to the streams of its channel; returns how many there were. A frame alone is written at once;
// where `more` follow before client_loop_flush, each stream gets what is its own in one write.
size_t client_loop_deliver(struct client_loop *l, struct frame *f, bool more);
// Writes what is queued and frees what is over; the loop does so itself before it sleeps. Call behind each
// batch of frames.
void client_loop_flush(struct client_loop *l);

// Ends the stream of connection `id` with whole events, a jittered retry and a clean last chunk; where it has
// not opened yet, refuses it. No effect on a connection that is gone.
void client_loop_end_stream(struct client_loop *l, uint64_t id, enum close_reason reason);

// Streams that are open and are not being ended.
size_t client_loop_streams(const struct client_loop *l);
// Ends up to `n` open streams, in random order, that were opened at least `min_age_ms` ago, each with whole events, a
// jittered retry of its own and a clean last chunk. Returns how many: fewer where there are fewer, or where so few of
// the connections are such streams that they were not met in a bounded time; call again then.
size_t client_loop_end_some(struct client_loop *l, size_t n, uint64_t min_age_ms, enum close_reason reason);

// The answer to a question (taken) of hooks.ask; or a revocation, which nobody asked about.
void client_loop_answer(struct client_loop *l, struct question *q);
// The connection to Redis was lost, and revocations and leases may have been: asks about every stream whose principal
// may be revoked, and renews all leases.
void client_loop_recheck(struct client_loop *l);

// Ends the streams with whole events, each with its own jittered retry and a clean last chunk, in random order as
// `plan` says; events are delivered to those that are still open. From now on requests for streams are refused.
void client_loop_drain(struct client_loop *l, const struct drain_plan *plan);
// True once client_loop_drain was called and the last connection is gone.
bool client_loop_is_drained(const struct client_loop *l);

// Where the connection to Redis is in this loop: `read_redis` reads that connection (client_context.h).
// Before the loop runs.
void client_loop_set_read_redis(struct client_loop *l, void (*read_redis)(void *ctx), void *ctx);

// The loop's hub, for the mails of the bus about channels.
struct hub *client_loop_hub(struct client_loop *l);
// Connections that ended for `reason`. Any thread.
uint64_t client_loop_closes(const struct client_loop *l, enum close_reason reason);
