// A message from Redis becomes the frames of its events, or is dropped for a reason that is counted. Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/frame.h"

// How the payloads of a channel are read (docs/protocol.md, "Payloads").
enum payload_mode { PAYLOAD_AUTO, PAYLOAD_TEXT, PAYLOAD_ENVELOPE };

struct payload_rule {
    char *pattern; // of channels; owned
    enum payload_mode mode;
};

// The first rule whose pattern matches counts; without one, auto.
struct payload_policy {
    struct payload_rule *rules;
    size_t count;
};

// Reads rules written "PATTERN=MODE" or "MODE" (for all channels). On failure false and the rest of a
// sentence `"x" ...` in `error`.
bool payload_rule_parse(const char *text, struct payload_rule *rule, char *error, size_t error_size);
// False for channels whose payloads are all data: there no payload can be an envelope, and so none a durable
// event.
bool payload_may_be_durable(const struct payload_policy *policy, const char *channel, size_t len);
void payload_policy_deinit(struct payload_policy *p);

#define MESSAGE_EVENTS_MAX ENVELOPE_EVENTS_MAX

// An event of a message.
struct message_event {
    struct frame *frame; // NULL: it is dropped
    // The counter of the reason. With a frame COUNTER_COUNT, or COUNTER_IDS_DROPPED: the publisher's id could not come
    // back, and is not in the frame.
    enum counter dropped;
    bool is_lost; // no later event will show that this one was dropped: it is the last one of its channel
};

// The events of a message, in their order: one, or where it is dropped as a whole, one without a frame. The array ends with
// the event for which there was no memory. `max_data`: bytes of the data of each of several events. Nothing given is kept;
// the frames' references are the caller's.
size_t message_events(const struct payload_policy *policy, struct channel_ref channel, const char *payload,
                      size_t len, size_t max_data, struct message_event events[MESSAGE_EVENTS_MAX]);

// Where a durable event stands in its channel's history.
struct event_place {
    struct event_id at, prev;
    uint64_t epoch;
    bool is_snapshot; // it stands for all events before it
    bool ends;        // it is the last event of its channel
};

// The frame of a durable event; its id, instead of that of `event`, is the cursor of a stream that has
// this channel alone. NULL when out of memory. The caller has checked the texts of `event`.
struct frame *message_durable_frame(struct channel_ref channel, const struct event_place *place,
                                    const struct sse_event *event);
