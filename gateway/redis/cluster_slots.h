// Which node of a Redis Cluster owns which slot, and which slot a channel has (cluster specification, "Key
// distribution model"). Pure: no sockets, no clock.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"

#define CLUSTER_SLOTS 16384u
#define CLUSTER_NODES_MAX 1024u
#define CLUSTER_NOBODY UINT16_MAX
#define CLUSTER_TAG_MAX 12u

// The slot of a channel: CRC16 of its hash tag, the text between the first { and the next }, or of the whole
// name where there is none.
uint16_t cluster_slot(const char *name, size_t len);
// Writes a hash tag, without braces and terminated, whose channels have that slot.
void cluster_slot_tag(uint16_t slot, char tag[CLUSTER_TAG_MAX]);

// A map without nodes after cluster_slots_init; all zero is none.
struct cluster_slots {
    struct redis_address *nodes; // owners and replicas; owned
    size_t node_count;
    uint16_t owner[CLUSTER_SLOTS]; // index of a node, or CLUSTER_NOBODY
};

void cluster_slots_init(struct cluster_slots *s);
void cluster_slots_deinit(struct cluster_slots *s);

// Reads the answer to CLUSTER SLOTS. `host` is that of the node that answers, which may omit its own host in
// the answer. False where the answer makes no sense, or out of memory; nothing is left to free then.
bool cluster_slots_read(struct cluster_slots *s, const redisReply *reply, const char *host);
// The node that owns a slot; NULL where none does.
const struct redis_address *cluster_slots_owner(const struct cluster_slots *s, size_t slot);
// How many slots have another owner in `after`.
size_t cluster_slots_diff(const struct cluster_slots *before, const struct cluster_slots *after);

// "MOVED 3999 10.0.0.1:6381", the error of a node that does not own a slot.
struct cluster_moved {
    uint16_t slot;
    struct redis_address to;
};
// `host` is that of the node that sent the error, which may omit its own host in it. False where `text` is
// something else.
bool cluster_moved_parse(const char *text, const char *host, struct cluster_moved *out);
// The same of "ASK 3999 10.0.0.1:6381": the slot is being moved there, and the key of this command is there
// already.
bool cluster_ask_parse(const char *text, const char *host, struct cluster_moved *out);
// True for the errors of a cluster that changes, after which a command is tried again: MOVED, ASK, TRYAGAIN,
// CLUSTERDOWN.
bool cluster_error_passes(const char *text);
