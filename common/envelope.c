#include "common/envelope.h"

#include <stdio.h>
#include <string.h>

#define MAGIC "\x1eSSE/1\n"
#define MAGIC_LEN 7
#define RESERVED_PREFIX "gateway:"

static bool has_prefix(const char *text, size_t len, const char *prefix)
{
    return len >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

static bool value_valid(const char *value, size_t len)
{
    return memchr(value, '\r', len) == NULL && memchr(value, '\n', len) == NULL &&
           memchr(value, '\0', len) == NULL;
}

bool envelope_event_valid(const char *event, size_t len)
{
    return value_valid(event, len) && !has_prefix(event, len, RESERVED_PREFIX);
}

bool envelope_id_returns(const char *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (id[i] < ' ' || id[i] > '~')
            return false;
    return len <= ENVELOPE_ID_MAX;
}

// ASCII digits only, as the standard wants them (WHATWG HTML 9.2.6), and no more than 32 bits.
static bool parse_retry(const char *value, size_t len, uint32_t *out)
{
    uint64_t number = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(value[i] - '0');
        if (number > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)number;
    return true;
}

static bool decode_field(const char *line, size_t len, struct envelope *out)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t value_len = (size_t)(line + len - value);

    if (value_len > 0 && *value == ' ') {
        value++;
        value_len--;
    }
    // Not only in a value: a publisher that ends lines with CRLF must not have its body taken for fields.
    if (!value_valid(line, len))
        return false;
    if (name_len == 5 && memcmp(line, "event", 5) == 0) {
        out->event = value;
        out->event_len = value_len;
        return envelope_event_valid(value, value_len);
    }
    if (name_len == 2 && memcmp(line, "id", 2) == 0) {
        out->id = value;
        out->id_len = value_len;
        return true;
    }
    if (name_len == 5 && memcmp(line, "retry", 5) == 0) {
        out->has_retry = true;
        return parse_retry(value, value_len, &out->retry_ms);
    }
    if (name_len == 7 && memcmp(line, "durable", 7) == 0) {
        out->durable = value;
        out->durable_len = value_len;
    }
    if (name_len == 3 && memcmp(line, "end", 3) == 0)
        out->ends = value_len == 1 && *value == '1';
    if (name_len == 11 && memcmp(line, "traceparent", 11) == 0) {
        out->traceparent = value;
        out->traceparent_len = value_len;
    }
    if (name_len == 8 && memcmp(line, "trace-to", 8) == 0) {
        out->trace_to = value;
        out->trace_to_len = value_len;
    }
    return true;
}

enum envelope_result envelope_decode(const char *payload, size_t len, struct envelope *out)
{
    const char *line, *end;

    *out = (struct envelope){0};
    if (len < MAGIC_LEN || memcmp(payload, MAGIC, MAGIC_LEN) != 0)
        return ENVELOPE_NONE;
    line = payload + MAGIC_LEN;
    end = payload + len;
    for (;;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));

        if (line_end == NULL)
            return ENVELOPE_INVALID;
        if (line_end == line)
            break;
        if (!decode_field(line, (size_t)(line_end - line), out))
            return ENVELOPE_INVALID;
        line = line_end + 1;
    }
    out->body = line + 1;
    out->body_len = (size_t)(end - out->body);
    return ENVELOPE_OK;
}

static size_t digits(uint32_t number)
{
    size_t count = 1;

    while (number >= 10) {
        number /= 10;
        count++;
    }
    return count;
}

size_t envelope_encoded_size(const struct envelope *e)
{
    size_t size = MAGIC_LEN + 1 + e->body_len;

    if (e->event)
        size += strlen("event: \n") + e->event_len;
    if (e->id)
        size += strlen("id: \n") + e->id_len;
    if (e->has_retry)
        size += strlen("retry: \n") + digits(e->retry_ms);
    if (e->traceparent)
        size += strlen("traceparent: \n") + e->traceparent_len;
    if (e->trace_to)
        size += strlen("trace-to: \n") + e->trace_to_len;
    return size;
}

static char *put(char *out, const char *bytes, size_t len)
{
    if (len > 0)
        memcpy(out, bytes, len);
    return out + len;
}

static char *put_field(char *out, const char *name, const char *value, size_t len)
{
    out = put(out, name, strlen(name));
    out = put(out, value, len);
    return put(out, "\n", 1);
}

size_t envelope_encode(const struct envelope *e, char *out)
{
    char *start = out, retry[16];

    if ((e->event && !envelope_event_valid(e->event, e->event_len)) ||
        (e->id && !value_valid(e->id, e->id_len)) ||
        (e->traceparent && !value_valid(e->traceparent, e->traceparent_len)) ||
        (e->trace_to && !value_valid(e->trace_to, e->trace_to_len)))
        return 0;
    out = put(out, MAGIC, MAGIC_LEN);
    if (e->event)
        out = put_field(out, "event: ", e->event, e->event_len);
    if (e->id)
        out = put_field(out, "id: ", e->id, e->id_len);
    if (e->has_retry)
        out = put_field(out, "retry: ", retry, (size_t)snprintf(retry, sizeof(retry), "%u", e->retry_ms));
    if (e->traceparent)
        out = put_field(out, "traceparent: ", e->traceparent, e->traceparent_len);
    if (e->trace_to)
        out = put_field(out, "trace-to: ", e->trace_to, e->trace_to_len);
    out = put(out, "\n", 1);
    out = put(out, e->body, e->body_len);
    return (size_t)(out - start);
}
