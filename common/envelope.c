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

static bool is_named(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(text, name, len) == 0;
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

// What the library writes for % CR LF and, in the name of an event, for a blank. 0: it writes no such thing.
static char unescaped(const char *escape, size_t len, bool is_name)
{
    static const struct {
        char code[2], byte;
        bool in_name, in_data;
    } escapes[] = {{"25", '%', true, true},
                   {"20", ' ', true, false},
                   {"0D", '\r', false, true},
                   {"0A", '\n', false, true}};

    for (size_t i = 0; len >= 3 && i < sizeof escapes / sizeof *escapes; i++)
        if (memcmp(escape + 1, escapes[i].code, 2) == 0)
            return (is_name ? escapes[i].in_name : escapes[i].in_data) ? escapes[i].byte : '\0';
    return '\0';
}

// Counts the escapes of `text` in `escapes`. False where one is not as the library writes it.
static bool escapes_valid(const char *text, size_t len, bool is_name, size_t *escapes)
{
    const char *end = text + len;

    while ((text = memchr(text, '%', (size_t)(end - text)))) {
        if (!unescaped(text, (size_t)(end - text), is_name))
            return false;
        text += 3;
        ++*escapes;
    }
    return true;
}

// A line of an event that is not the last one: its name, which may be empty, a blank, its data.
static bool decode_earlier(const char *line, const char *value, size_t len, struct envelope *out)
{
    const char *blank = memchr(value, ' ', len);
    size_t name_len = blank ? (size_t)(blank - value) : 0, escapes = 0;

    if (!blank || ++out->earlier_count >= ENVELOPE_EVENTS_MAX || !envelope_event_valid(value, name_len) ||
        !escapes_valid(value, name_len, true, &escapes) ||
        !escapes_valid(blank + 1, len - name_len - 1, false, &escapes))
        return false;
    if (!out->earlier)
        out->earlier = line;
    if (escapes > 0 && len > out->earlier_escaped)
        out->earlier_escaped = len;
    return true;
}

// The fields that cannot be wrong here: what they say is looked at by those who use it.
static void keep_field(const char *name, size_t name_len, const char *value, size_t len, struct envelope *out)
{
    const struct {
        const char *name, **value;
        size_t *len;
    } texts[] = {{"id", &out->id, &out->id_len},
                 {"durable", &out->durable, &out->durable_len},
                 {"first", &out->first, &out->first_len},
                 {"traceparent", &out->traceparent, &out->traceparent_len},
                 {"trace-to", &out->trace_to, &out->trace_to_len}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (is_named(name, name_len, texts[i].name)) {
            *texts[i].value = value;
            *texts[i].len = len;
            return;
        }
    }
    if (is_named(name, name_len, "snapshot"))
        out->is_snapshot = len == 1 && *value == '1';
    else if (is_named(name, name_len, "end"))
        out->ends = len == 1 && *value == '1';
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
    if (is_named(line, name_len, "event")) {
        out->event = value;
        out->event_len = value_len;
        return envelope_event_valid(value, value_len);
    }
    if (is_named(line, name_len, "earlier"))
        return decode_earlier(line, value, value_len, out);
    if (is_named(line, name_len, "retry")) {
        out->has_retry = true;
        return parse_retry(value, value_len, &out->retry_ms);
    }
    keep_field(line, name_len, value, value_len, out);
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

// Writes `text` without its escapes to `*scratch`, which moves on, or leaves it where it is if it has none.
static const char *unescape(const char *text, size_t *len, bool is_name, char **scratch)
{
    const char *end = text + *len, *from = text, *escape;
    char *begin = *scratch, *out = begin;

    while ((escape = memchr(from, '%', (size_t)(end - from)))) {
        memcpy(out, from, (size_t)(escape - from));
        out += escape - from;
        *out++ = unescaped(escape, (size_t)(end - escape), is_name);
        from = escape + 3;
    }
    if (from == text)
        return text;
    memcpy(out, from, (size_t)(end - from));
    out += end - from;
    *scratch = out;
    *len = (size_t)(out - begin);
    return begin;
}

void envelope_earlier(const char **at, struct envelope_event *out, char *scratch)
{
    static const char field[] = "earlier:";
    const char *line = *at;

    // The payload was decoded: each line ends, and there is one of these behind `*at`.
    while (memcmp(line, field, sizeof field - 1) != 0)
        line = (const char *)rawmemchr(line, '\n') + 1;
    const char *value = line + sizeof field - 1, *end = rawmemchr(value, '\n');
    if (*value == ' ' && value < end)
        value++;
    const char *blank = rawmemchr(value, ' ');
    out->event_len = (size_t)(blank - value);
    out->event = unescape(value, &out->event_len, true, &scratch);
    out->data_len = (size_t)(end - blank - 1);
    out->data = unescape(blank + 1, &out->data_len, false, &scratch);
    *at = end + 1;
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
