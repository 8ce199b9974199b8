// The commands by which a node's server learns of its channels: SUBSCRIBE for FRESH channels, UNSUBSCRIBE for
// those that no worker wants any more, few commands for many channels. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/bus/channels.h"
#include "gateway/redis/redis_pubsub.h"

struct subscriptions {
    struct node_channels channels;
    struct redis_pubsub *pubsub; // the node's
};

// Subscribes to the FRESH channels, where the connection is ready.
void subscriptions_send_fresh(struct subscriptions *s);
// Unsubscribes from channels, whatever their state. False when not connected or out of memory.
bool subscriptions_end(struct subscriptions *s, struct bus_channel *const *batch, size_t count);
// Unsubscribes from channels whose linger is over, and frees them. Called now and then.
void subscriptions_end_expired(struct subscriptions *s);
// The same for the oldest lingering channels where there are too many. Called after a channel began to
// linger.
void subscriptions_end_surplus(struct subscriptions *s);
