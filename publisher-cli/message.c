#include "publisher-cli/message.h"

#include "common/envelope.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool check_field(const char *option, const char *value, char *error, size_t error_size)
{
    if (value && strpbrk(value, "\r\n")) {
        snprintf(error, error_size, "--%s: the value has a line break, which this field cannot carry",
                 option);
        return false;
    }
    if (value && utf8_valid_length(value, strlen(value)) != strlen(value)) {
        snprintf(error, error_size, "--%s: the value is not UTF-8 text", option);
        return false;
    }
    return true;
}

bool message_fields_check(const struct message_fields *fields, char *error, size_t error_size)
{
    if (!check_field("event", fields->event, error, error_size) ||
        !check_field("id", fields->id, error, error_size))
        return false;
    if (fields->event && strncmp(fields->event, "gateway:", 8) == 0) {
        snprintf(error, error_size,
                 "--event: names that begin with \"gateway:\" are for gateways alone; choose another");
        return false;
    }
    return true;
}

static bool reserve(struct message_buffer *buffer, size_t size)
{
    char *grown;

    if (size <= buffer->capacity)
        return true;
    grown = realloc(buffer->bytes, size);
    if (grown == NULL)
        return false;
    buffer->bytes = grown;
    buffer->capacity = size;
    return true;
}

bool message_compose(const struct message_fields *fields, const char *data, size_t len,
                     struct message_buffer *buffer, const char **payload, size_t *payload_len)
{
    struct envelope e;

    if (!fields->event && !fields->id && !fields->has_retry &&
        envelope_decode(data, len, &e) == ENVELOPE_NONE) {
        *payload = data;
        *payload_len = len;
        return true;
    }
    e = (struct envelope){
        .event = fields->event,
        .event_len = fields->event ? strlen(fields->event) : 0,
        .id = fields->id,
        .id_len = fields->id ? strlen(fields->id) : 0,
        .has_retry = fields->has_retry,
        .retry_ms = fields->retry_ms,
        .body = data,
        .body_len = len,
    };
    if (!reserve(buffer, envelope_encoded_size(&e)))
        return false;
    *payload = buffer->bytes;
    *payload_len = envelope_encode(&e, buffer->bytes);
    return *payload_len > 0;
}

const char *message_undeliverable(const char *data, size_t len)
{
    if (memchr(data, '\0', len))
        return "it holds a NUL byte";
    if (utf8_valid_length(data, len) != len)
        return "it is not UTF-8 text";
    return NULL;
}
