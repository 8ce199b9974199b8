// The commands by which a node's server learns of its channels: SUBSCRIBE for FRESH channels, UNSUBSCRIBE for
// those that no worker wants any more, few commands for many channels. The bus' thread alone.
#pragma once

#include "gateway/bus/node.h"

// Subscribes to the FRESH channels, where the connection is ready. At the end of a turn.
void subscriptions_send_fresh(struct node *n);
// Unsubscribes from a channel, whatever its state. False when not connected or out of memory.
bool subscriptions_end(struct node *n, struct bus_channel *c);
// Unsubscribes from channels whose linger is over, and frees them. Called now and then.
void subscriptions_end_expired(struct node *n);
// The same for the oldest lingering channels where there are too many. Called after a channel began to
// linger.
void subscriptions_end_surplus(struct node *n);
