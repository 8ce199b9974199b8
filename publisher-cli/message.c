#include "publisher-cli/message.h"

#include "common/envelope.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

// Bytes of an id.
#define ID_MAX 1024

static bool check_field(const char *option, const char *value, struct failure *failure)
{
    if (value && strpbrk(value, "\r\n"))
        return failure_set(failure, "--%s: the value has a line break, which this field cannot carry",
                           option);
    if (value && !utf8_text_valid(value, strlen(value)))
        return failure_set(failure, "--%s: the value is not UTF-8 text", option);
    return true;
}

// A browser sends the id back as a header, where neither fits.
static bool check_id(const char *id, struct failure *failure)
{
    if (strlen(id) > ID_MAX)
        return failure_set(
            failure, "--id: the value has more than %d bytes, which no browser could send back", ID_MAX);
    for (const char *at = id; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return failure_set(failure,
                               "--id: the value has a control character, which no browser could send "
                               "back");
    }
    return true;
}

bool message_fields_check(const struct message_fields *fields, struct failure *failure)
{
    if (!check_field("event", fields->event, failure) || !check_field("id", fields->id, failure))
        return false;
    if (fields->event && strncmp(fields->event, "gateway:", 8) == 0)
        return failure_set(failure, "--event: names that begin with \"gateway:\" are for gateways alone; "
                                    "choose another");
    return !fields->id || check_id(fields->id, failure);
}

bool message_compose(const struct message_fields *fields, struct span data, struct buf *buffer,
                     struct span *payload)
{
    struct envelope e;
    if (!fields->event && !fields->id && !fields->has_retry && !fields->traceparent &&
        envelope_decode(data.bytes, data.len, &e) == ENVELOPE_NONE) {
        *payload = data;
        return true;
    }
    e = (struct envelope){
        .event = fields->event,
        .event_len = fields->event ? strlen(fields->event) : 0,
        .id = fields->id,
        .id_len = fields->id ? strlen(fields->id) : 0,
        .has_retry = fields->has_retry,
        .retry_ms = fields->retry_ms,
        .traceparent = fields->traceparent,
        .traceparent_len = fields->traceparent ? strlen(fields->traceparent) : 0,
        .trace_to = fields->trace_to,
        .trace_to_len = fields->trace_to ? strlen(fields->trace_to) : 0,
        .body = data.bytes,
        .body_len = data.len,
    };
    buf_clear(buffer);
    if (!buf_reserve(buffer, envelope_encoded_size(&e)))
        return false;
    *payload = (struct span){buffer->data, envelope_encode(&e, buffer->data)};
    return payload->len > 0;
}

const char *message_undeliverable(struct span data)
{
    if (memchr(data.bytes, '\0', data.len))
        return "it holds a NUL byte";
    if (!utf8_text_valid(data.bytes, data.len))
        return "it is not UTF-8 text";
    return NULL;
}
