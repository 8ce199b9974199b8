#include "gateway/fanout/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Where a line of the data ends: at the nearer of the next LF and the next CR. Each is looked for only once
// it has been passed, so that memchr reads every byte at most twice however many lines there are.
struct line_scan {
    const char *end;
    const char *lf, *cr; // the next one at or after the current line; `end` where there is none
};

static const char *find(const char *from, const char *end, char c)
{
    const char *at = memchr(from, c, (size_t)(end - from));
    return at != NULL ? at : end;
}

static struct line_scan line_scan_start(const char *text, size_t len)
{
    const char *end = text + len;
    return (struct line_scan){.end = end, .lf = find(text, end, '\n'), .cr = find(text, end, '\r')};
}

// The end of the line that begins at `line`; `*next` is the begin of the one after it, NULL where this line
// is the last.
static const char *line_end(struct line_scan *s, const char *line, const char **next)
{
    if (s->lf < line)
        s->lf = find(line, s->end, '\n');
    if (s->cr < line)
        s->cr = find(line, s->end, '\r');
    const char *stop = s->lf < s->cr ? s->lf : s->cr;
    bool crlf = s->end - stop >= 2 && stop[0] == '\r' && stop[1] == '\n'; // one break
    *next = stop == s->end ? NULL : stop + (crlf ? 2 : 1);
    return stop;
}

#define FIELD_SIZE(name) (sizeof(name) - 1 + 2 + 1) // "name", ": ", LF

size_t sse_id_line_size(size_t id_len)
{
    return FIELD_SIZE("id") + id_len;
}

static size_t data_size(const char *data, size_t len)
{
    if (len == 0)
        return FIELD_SIZE("data");
    struct line_scan scan = line_scan_start(data, len);
    size_t size = 0;
    for (const char *line = data, *next; line != NULL; line = next)
        size += FIELD_SIZE("data") + (size_t)(line_end(&scan, line, &next) - line);
    return size;
}

size_t sse_encoded_size(const struct sse_event *e)
{
    size_t size = 1; // the blank line
    if (e->event != NULL)
        size += FIELD_SIZE("event") + e->event_len;
    if (e->id != NULL)
        size += sse_id_line_size(e->id_len);
    if (e->has_retry)
        size += FIELD_SIZE("retry") + (size_t)snprintf(NULL, 0, "%" PRIu32, e->retry_ms);
    if (e->is_snapshot)
        size += FIELD_SIZE("snapshot") + 1;
    if (e->data != NULL)
        size += data_size(e->data, e->data_len);
    return size;
}

static char *put(char *out, const char *bytes, size_t len)
{
    if (len > 0)
        memcpy(out, bytes, len);
    return out + len;
}

// The space is always there: a decoder drops one, and a value that begins with a space keeps its own.
static char *put_field(char *out, const char *name, const char *value, size_t len)
{
    out = put(out, name, strlen(name));
    out = put(out, ": ", 2);
    out = put(out, value, len);
    *out = '\n';
    return out + 1;
}

char *sse_put_id(char *out, const char *id, size_t id_len)
{
    return put_field(out, "id", id, id_len);
}

static char *put_retry(char *out, uint32_t ms)
{
    char digits[11];
    int n = snprintf(digits, sizeof digits, "%" PRIu32, ms);
    return put_field(out, "retry", digits, (size_t)n);
}

static char *put_data(char *out, const char *data, size_t len)
{
    if (len == 0)
        return put_field(out, "data", NULL, 0);
    struct line_scan scan = line_scan_start(data, len);
    for (const char *line = data, *next; line != NULL; line = next) {
        const char *stop = line_end(&scan, line, &next);
        out = put_field(out, "data", line, (size_t)(stop - line));
    }
    return out;
}

char *sse_encode(const struct sse_event *e, char *out)
{
    if (e->id != NULL)
        out = sse_put_id(out, e->id, e->id_len);
    if (e->event != NULL)
        out = put_field(out, "event", e->event, e->event_len);
    if (e->has_retry)
        out = put_retry(out, e->retry_ms);
    if (e->is_snapshot)
        out = put_field(out, "snapshot", "1", 1);
    if (e->data != NULL)
        out = put_data(out, e->data, e->data_len);
    *out = '\n';
    return out + 1;
}

size_t sse_chunk_head(size_t payload, char *out)
{
    size_t digits = 1;
    for (size_t rest = payload >> 4; rest > 0; rest >>= 4)
        digits++;
    for (size_t i = digits; i > 0; i--, payload >>= 4)
        out[i - 1] = "0123456789abcdef"[payload & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
