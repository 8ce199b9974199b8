// The registry of channels: which channels this process wants from Redis, for which workers, at which node,
// and how far its subscription there has got. One map finds a channel by its name; each node has an intrusive
// list for each state, so moving a channel to another node relinks it and cannot fail. Pure: no sockets, no
// clock.
//
//      wanted --> UNOWNED <--------- its slot has no node -----------+--- from any state
//                    | channel_move                                  |
//                    v
//                  FRESH --SUBSCRIBE sent--> SENT --confirmed--> ACTIVE
//                  ^  ^  ^                    |                    |
//                  |  |  +-- connection lost -+--------------------+
//                  |  +----- retried --- DENIED <-- an ACL forbids it
//                  +-------- retried --- MOVED  <-- its slot is at another node (cluster)
//
// When its last worker leaves, a channel lingers for some seconds before it is unsubscribed: in a reconnect
// storm the same channels come back.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/channel_ref.h"
#include "common/map.h"

enum channel_state {
    CHANNEL_UNOWNED,
    CHANNEL_FRESH,
    CHANNEL_SENT,
    CHANNEL_ACTIVE,
    CHANNEL_DENIED,
    CHANNEL_MOVED,
    CHANNEL_STATE_COUNT
};

// Callbacks of an internal channel, on the bus' thread.
struct channel_handler {
    void (*on_message)(void *ctx, const char *payload, size_t len);
    void (*on_subscribed)(void *ctx);
    void (*on_unsubscribed)(void *ctx); // by the server; the connection is still open
    bool of_node;                       // the channel stays at its node, whatever the slots are
    const char *when_denied;            // for the log: what does not work where an ACL forbids the channel
};

// The resume position query of a channel (bus/resume.h): how far its history has got.
struct position_query {
    uint64_t number;    // of the query that is on its way; 0: none
    uint64_t asked_for; // a bit for each worker that the answer will be sent to
    uint64_t ask_next;  // a bit for each worker that came after the query: it needs a newer answer
};

struct bus_channel {
    struct map_entry entry;     // its key is `name`
    struct node_channels *node; // NULL exactly when UNOWNED
    uint64_t workers;           // a bit for each worker that wants it
    uint64_t gap_told;          // a bit for each worker that was told of a loss and has got no message since
    uint64_t
        gap_due; // a bit for each worker that is to be told of a loss: before its next message, or at the tick
    struct position_query query; // used by bus/resume alone
    // NULL: the channel is for workers. Else it is internal: no stream gets what is published there.
    const struct channel_handler *handler;
    void *handler_ctx;
    uint64_t linger_until_ms;
    uint32_t batch;       // number of its SUBSCRIBE command; while FRESH, not 0 means: send it alone
    uint16_t slot;        // hash slot of the name; 0 where slots do not matter
    uint8_t state;        // enum channel_state; changed by channel_set_state alone
    bool was_active : 1;  // before its connection was lost: messages may be missing
    bool lingering : 1;   // no worker wants it; in node->lingering unless SENT
    bool told_denied : 1; // the denial was logged
    TAILQ_ENTRY(bus_channel) in_state;
    TAILQ_ENTRY(bus_channel) in_linger; // node->lingering, oldest first
    char name[];
};

TAILQ_HEAD(channel_list, bus_channel);

struct channels {
    struct map map;
    struct channel_list unowned;
    size_t active_count; // ACTIVE channels of workers, at all nodes
    size_t bytes;        // of all but the map
};

// The channels of one node.
struct node_channels {
    struct channels *all;
    struct channel_list in_state[CHANNEL_STATE_COUNT]; // that of UNOWNED stays empty
    struct channel_list lingering;
    size_t lingering_count;
    uint32_t next_batch;
};

void channels_init(struct channels *all);
// Frees every channel; no node may be used after that.
void channels_deinit(struct channels *all);
// Bytes that the registry takes.
size_t channels_bytes(const struct channels *all);

struct bus_channel *channels_find(const struct channels *all, struct channel_ref ref);
// Worker `worker` wants the channel, whose slot is `slot`. A channel that was not known is UNOWNED. NULL when
// out of memory.
struct bus_channel *channels_want(struct channels *all, unsigned worker, struct channel_ref ref,
                                  uint16_t slot);
// Worker `worker` wants the channel no longer. With the last worker gone, the channel lingers until
// `until_ms`, or is freed at once where no SUBSCRIBE is on its way or confirmed.
void channels_unwant(struct channels *all, unsigned worker, struct channel_ref ref, uint64_t until_ms);
// Adds an internal channel, UNOWNED, that stays until channels_forget. `handler` is borrowed. NULL when out
// of memory.
struct bus_channel *channels_add_internal(struct channels *all, struct channel_ref ref, uint16_t slot,
                                          const struct channel_handler *handler, void *ctx);
// Takes the channel out of the registry and frees it, whatever its state.
void channels_forget(struct channels *all, struct bus_channel *c);

// Moves the channel, which must not linger, to `to`, where it is FRESH; NULL: no node owns its slot, and it
// is UNOWNED.
void channel_move(struct channels *all, struct bus_channel *c, struct node_channels *to);

void node_channels_init(struct node_channels *n, struct channels *all);
// Calls `visit` for each channel of the node, which may move or forget it.
void node_channels_each(struct node_channels *n, void (*visit)(void *ctx, struct bus_channel *c), void *ctx);

// Moves up to `max` channels of one slot from FRESH to SENT as one batch, to be subscribed by one command.
// Returns how many; `batch` of each is the number of the batch.
size_t node_channels_take_batch(struct node_channels *n, struct bus_channel **out, size_t max);
// The node confirmed the subscription: SENT becomes ACTIVE. NULL where the channel is not SENT at this node.
struct bus_channel *node_channels_confirm(struct node_channels *n, struct channel_ref ref);
// The node refused the batch of that number, which had `count` channels. A batch of one is DENIED, and
// returned. What is left of a larger one becomes FRESH, each channel to be sent alone, since one channel that
// an ACL forbids must not keep the others of the batch from being subscribed (NULL then).
struct bus_channel *node_channels_refuse(struct node_channels *n, uint32_t batch, size_t count);
// The node refused the batch, since its slot is elsewhere or is moving: its channels are MOVED.
void node_channels_batch_moved(struct node_channels *n, uint32_t batch);
// The node unsubscribed an ACTIVE channel unasked, since its slot has left: the channel is MOVED, or freed
// where it lingered (NULL then, and where the channel was not ACTIVE at this node).
struct bus_channel *node_channels_unsubscribed(struct node_channels *n, struct channel_ref ref);
// MOVED, or DENIED, channels are FRESH again, to be tried once more.
void node_channels_retry(struct node_channels *n, enum channel_state state);
// Orders FRESH channels by slot, so that those of one slot share a command, internal ones last: when a canary
// message arrives, the channels before it are subscribed as well. Without memory for that the order stays as
// it was.
void node_channels_sort_fresh(struct node_channels *n);
// The connection is lost: every channel is FRESH again, internal ones last; lingering ones are freed.
void node_channels_reset(struct node_channels *n);
// Takes up to `max` channels whose linger is over at `now_ms` out of the registry: to be unsubscribed, then
// free()d by the caller.
size_t node_channels_take_expired(struct node_channels *n, uint64_t now_ms, struct bus_channel **out,
                                  size_t max);
