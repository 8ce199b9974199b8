// Resume position queries: before the streams of a durable channel are opened, Redis is asked how far the
// channel's history has got; and pages of history for streams that resume. Passes the answers of a node's
// `history` on to delivery. The bus' thread alone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/bus/node.h"

// Opens the node's `history`, where channels may have any. False when out of memory.
bool resume_open(struct node *n);

// Redis has confirmed channel `c`: all its workers may open its streams, once it is known how far the
// channel's history has got.
void resume_confirm(struct node *n, struct bus_channel *c);
// The same for workers (a bit each) that came to a channel of the node: where it was confirmed before.
void resume_confirm_workers(struct node *n, uint64_t workers, struct bus_channel *c);
// Sends the queries again that failed for want of memory. Called now and then.
void resume_retry(struct node *n);
