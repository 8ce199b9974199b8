// gateway:gap, the event that says that events of a channel were lost (docs/protocol.md, "Control events").
// Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"

// A gap of unknown extent: {"channel":..,"from":null,"to":null}. `channel` is a checked name
// (common/pattern.h), so nothing in it needs escaping. NULL when out of memory.
struct frame *gap_frame(struct channel_ref channel);

// A gap in the history of a durable channel: the events with the offsets `from` to `to` were lost (0:
// unknown), and the history goes on after `at`.
struct frame *gap_frame_durable(struct channel_ref channel, uint64_t from, uint64_t to, struct event_id prev,
                                struct event_id at);
