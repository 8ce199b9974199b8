// From what the user gives (fields and data) to the bytes that Redis carries. Pure.
#pragma once

#include "common/buf.h"
#include "publisher-cli/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Borrowed bytes, not terminated.
struct span {
    const char *bytes;
    size_t len;
};

struct message_fields {
    const char *event, *id;             // NULL where not given
    const char *traceparent, *trace_to; // NULL: nobody follows the event
    bool has_retry;
    uint32_t retry_ms;
};

// False where a field cannot be sent.
bool message_fields_check(const struct message_fields *fields, struct failure *failure);

// The payload for `data`: the data itself where there are no fields to send, else an envelope around it in
// `buffer`, which is used again for the next message. Data that looks like an envelope gets one, so that it arrives as
// the text it is. `fields` have been checked. False where memory ran out.
bool message_compose(const struct message_fields *fields, struct span data, struct buf *buffer,
                     struct span *payload);

// NULL, or why gateways will drop a message with this data: no event stream can carry it.
const char *message_undeliverable(struct span data);
