// Whatever a message holds, a client that follows WHATWG HTML 9.2.6 gets exactly one event with exactly its
// text, and the events around it are untouched. The decoder here is written from that section and shares no
// code with the encoder.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "gateway/fanout/sse.h"
#include "tests/fuzz/fuzz.h"

struct bytes {
    char *at;
    size_t len;
};

static void append(struct bytes *b, const char *at, size_t len)
{
    if (len > 0)
        memcpy(b->at + b->len, at, len); // every buffer here is as long as its input
    b->len += len;
}

static bool equal(struct bytes b, const char *text, size_t len)
{
    return b.len == len && (len == 0 || memcmp(b.at, text, len) == 0);
}

struct decoder {
    struct bytes data, type, id_buffer;
    bool retry_seen;
    unsigned long retry;
    size_t dispatched;
    void (*on_event)(struct decoder *d);
    void *ctx;
};

static void set(struct bytes *b, const char *at, size_t len)
{
    b->len = 0;
    append(b, at, len);
}

static void process_field(struct decoder *d, const char *name, size_t name_len, const char *value, size_t len)
{
    if (name_len == 5 && memcmp(name, "event", 5) == 0) {
        set(&d->type, value, len);
    } else if (name_len == 4 && memcmp(name, "data", 4) == 0) {
        append(&d->data, value, len);
        append(&d->data, "\n", 1);
    } else if (name_len == 2 && memcmp(name, "id", 2) == 0) {
        if (len == 0 || memchr(value, 0, len) == NULL)
            set(&d->id_buffer, value, len);
    } else if (name_len == 5 && memcmp(name, "retry", 5) == 0) {
        bool digits = len > 0 && len < 16;
        for (size_t i = 0; digits && i < len; i++)
            digits = value[i] >= '0' && value[i] <= '9';
        if (digits) {
            char number[16] = "";
            memcpy(number, value, len);
            d->retry = strtoul(number, NULL, 10);
            d->retry_seen = true;
        }
    } else {
        CHECK(!"a field that no event stream has");
    }
}

static void dispatch(struct decoder *d)
{
    if (d->data.len == 0) {
        d->type.len = 0;
        return;
    }
    d->data.len--; // the last LF
    d->on_event(d);
    d->dispatched++;
    d->data.len = d->type.len = 0;
}

static void process_line(struct decoder *d, const char *line, size_t len)
{
    if (len == 0) {
        dispatch(d);
        return;
    }
    size_t colon = 0;
    while (colon < len && line[colon] != ':')
        colon++;
    CHECK(colon > 0 && colon < len); // neither comments nor bare names in what sse.c writes
    const char *value = line + colon + 1;
    size_t value_len = len - colon - 1;
    if (value_len > 0 && value[0] == ' ') {
        value++;
        value_len--;
    }
    process_field(d, line, colon, value, value_len);
}

static void decode(struct decoder *d, const char *stream, size_t len)
{
    size_t begin = 0;
    for (size_t i = 0; i < len; i++) {
        if (stream[i] != '\n' && stream[i] != '\r')
            continue;
        process_line(d, stream + begin, i - begin);
        if (stream[i] == '\r' && i + 1 < len && stream[i + 1] == '\n')
            i++;
        begin = i + 1;
    }
    CHECK(begin == len); // nothing unfinished
}

// What the client must see of `text`: every line break is one LF.
static struct bytes with_lf(const char *text, size_t len)
{
    struct bytes out = {must_alloc(len), 0};
    for (size_t i = 0; i < len; i++) {
        bool crlf = text[i] == '\r' && i + 1 < len && text[i + 1] == '\n';
        if (!crlf)
            append(&out, text[i] == '\r' ? "\n" : text + i, 1);
    }
    return out;
}

struct expectation {
    const struct sse_event *event;
    struct bytes data;
};

static void on_event(struct decoder *d)
{
    const struct expectation *want = d->ctx;
    const struct sse_event *e = want->event;
    bool fires = e->data != NULL;
    if (d->dispatched == 0) {
        CHECK(equal(d->data, "before", 6) && d->type.len == 0);
    } else if (d->dispatched == 1 && fires) {
        CHECK(equal(d->data, want->data.at, want->data.len));
        CHECK(equal(d->type, e->event, e->event != NULL ? e->event_len : 0));
    } else {
        CHECK(d->dispatched == (fires ? 2 : 1));
        CHECK(equal(d->data, "after", 5) && d->type.len == 0);
    }
}

static void check_event(const struct sse_event *e)
{
    static const struct sse_event before = {.data = "before", .data_len = 6},
                                  after = {.data = "after", .data_len = 5};
    const struct sse_event *events[] = {&before, e, &after};
    size_t size = 0;
    for (int i = 0; i < 3; i++)
        size += sse_encoded_size(events[i]);
    char *stream = must_alloc(size), *end = stream;
    for (int i = 0; i < 3; i++) {
        char *begin = end;
        end = sse_encode(events[i], end);
        CHECK((size_t)(end - begin) == sse_encoded_size(events[i]));
    }

    struct expectation want = {.event = e, .data = with_lf(e->data, e->data != NULL ? e->data_len : 0)};
    struct decoder d = {.data.at = must_alloc(size),
                        .type.at = must_alloc(size),
                        .id_buffer.at = must_alloc(size),
                        .on_event = on_event,
                        .ctx = &want};
    decode(&d, stream, size);
    CHECK(d.dispatched == (e->data != NULL ? 3u : 2u));
    CHECK(equal(d.id_buffer, e->id, e->id != NULL ? e->id_len : 0));
    CHECK(d.retry_seen == e->has_retry && (!e->has_retry || d.retry == e->retry_ms));
    free(d.data.at);
    free(d.type.at);
    free(d.id_buffer.at);
    free(want.data.at);
    free(stream);
}

// Code points are decoded and compared with the shortest form, the way the words of RFC 3629 say it.
static bool valid_by_words(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        int tails = p[i] < 0x80 ? 0 : p[i] >> 5 == 6 ? 1 : p[i] >> 4 == 14 ? 2 : p[i] >> 3 == 30 ? 3 : -1;
        if (tails < 0 || (size_t)tails >= len - i)
            return false;
        uint32_t point = tails == 0 ? p[i] : p[i] & (0x3fu >> tails);
        for (int t = 1; t <= tails; t++) {
            if (p[i + (size_t)t] >> 6 != 2)
                return false;
            point = point << 6 | (p[i + (size_t)t] & 0x3f);
        }
        static const uint32_t least[] = {1, 0x80, 0x800, 0x10000}; // 1: no NUL
        if (point < least[tails] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
        i += (size_t)tails + 1;
    }
    return true;
}

static void check_chunk_head(size_t payload)
{
    char *out = must_alloc(SSE_CHUNK_HEAD_MAX + 1), *end;
    size_t n = sse_chunk_head(payload, out);
    CHECK(n <= SSE_CHUNK_HEAD_MAX);
    out[n] = '\0';
    CHECK(strtoull(out, &end, 16) == payload && strcmp(end, "\r\n") == 0);
    free(out);
}

// A field value may hold neither of these: envelope.c has refused them.
static bool is_value(const char *at, size_t len)
{
    return memchr(at, '\r', len) == NULL && memchr(at, '\n', len) == NULL && memchr(at, 0, len) == NULL;
}

// Input: flags, length of event, length of id, four bytes of retry, then event, id and data.
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len < 7)
        return 0;
    uint8_t flags = input[0];
    size_t event_len = input[1], id_len = input[2];
    uint32_t retry;
    memcpy(&retry, input + 3, sizeof(retry));
    if (event_len + id_len > len - 7)
        return 0;
    size_t data_len = len - 7 - event_len - id_len;
    char *text = must_alloc(data_len); // of its own, so that reads past its end are seen
    const char *event = (const char *)input + 7, *id = event + event_len;
    memcpy(text, id + id_len, data_len);

    CHECK(utf8_text_valid(text, data_len) == valid_by_words((const unsigned char *)text, data_len));
    check_chunk_head(retry);
    struct sse_event e = {.has_retry = (flags & 4) != 0, .retry_ms = retry};
    if ((flags & 1) != 0 && is_value(event, event_len)) {
        e.event = event;
        e.event_len = event_len;
    }
    if ((flags & 2) != 0 && is_value(id, id_len)) {
        e.id = id;
        e.id_len = id_len;
    }
    if ((flags & 8) == 0) {
        e.data = text;
        e.data_len = data_len;
    }
    check_event(&e);
    free(text);
    return 0;
}
