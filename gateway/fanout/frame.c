#include "gateway/fanout/frame.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"

// "source: ", a name, a blank, two numbers of 20 digits and their hyphen, LF, and a byte for snprintf's NUL.
#define SOURCE_LINE_MAX (8 + CHANNEL_NAME_MAX + 1 + 41 + 1 + 1)

// A frame with `own_len` body bytes, in a chunk whose body has `body_len`; the other bytes are in another
// frame.
static struct frame *frame_alloc(size_t own_len, size_t body_len, bool chunked, size_t channel_len)
{
    if (body_len >= UINT32_MAX - SSE_CHUNK_HEAD_MAX - SSE_CHUNK_TAIL)
        return NULL;
    char head[SSE_CHUNK_HEAD_MAX];
    size_t head_len = chunked ? sse_chunk_head(body_len, head) : 0;
    size_t tail_len = chunked && own_len == body_len ? SSE_CHUNK_TAIL : 0;
    size_t wire_len = head_len + own_len + tail_len;
    struct frame *f = malloc(sizeof *f + wire_len + channel_len);
    if (!f)
        return NULL;
    *f = (struct frame){.wire_len = (uint32_t)wire_len,
                        .body_len = (uint32_t)body_len,
                        .body_at = (uint16_t)head_len,
                        .channel_len = (uint16_t)channel_len,
                        .channel = f->wire + wire_len};
    atomic_init(&f->refs, 1);
    memcpy(f->wire, head, head_len);
    if (tail_len)
        memcpy(f->wire + head_len + own_len, (const char[]){'\r', '\n'}, SSE_CHUNK_TAIL);
    return f;
}

struct frame *frame_create(const struct sse_event *event, struct channel_ref channel)
{
    size_t len = sse_encoded_size(event);
    struct frame *f = frame_alloc(len, len, true, channel.len);
    if (!f)
        return NULL;
    sse_encode(event, f->wire + f->body_at);
    f->id_line_len = event->id ? (uint32_t)sse_id_line_size(event->id_len) : 0;
    f->channel_hash = channel.hash;
    if (channel.len)
        memcpy(f->channel, channel.name, channel.len);
    return f;
}

struct frame *frame_from_bytes(const char *bytes, size_t len, bool chunked)
{
    struct frame *f = frame_alloc(len, len, chunked, 0);
    if (f)
        memcpy(f->wire + f->body_at, bytes, len);
    return f;
}

// A frame that goes on with what follows the id line in `shared`; its own `own_len` bytes are still to be written.
static struct frame *frame_before(struct frame *shared, size_t own_len)
{
    struct frame *f =
        frame_alloc(own_len, own_len + shared->body_len - shared->id_line_len, true, shared->channel_len);
    if (!f)
        return NULL;
    f->is_gap = shared->is_gap;
    f->is_foreign = shared->is_foreign;
    f->is_snapshot = shared->is_snapshot;
    f->is_end = shared->is_end;
    f->ends = shared->ends;
    f->durable = shared->durable;
    f->prev = shared->prev;
    f->at = shared->at;
    f->epoch = shared->epoch;
    f->channel_hash = shared->channel_hash;
    memcpy(f->channel, shared->channel, shared->channel_len);
    f->rest = frame_retain(shared);
    return f;
}

struct frame *frame_with_id(struct frame *shared, const char *id, size_t id_len)
{
    struct frame *f = frame_before(shared, sse_id_line_size(id_len));
    if (!f)
        return NULL;
    f->id_line_len = (uint32_t)sse_id_line_size(id_len);
    sse_put_id(f->wire + f->body_at, id, id_len);
    return f;
}

static size_t source_line(const struct frame *f, char line[SOURCE_LINE_MAX])
{
    int len = snprintf(line, SOURCE_LINE_MAX, "source: %.*s", (int)f->channel_len, f->channel);
    if (f->durable && !f->is_gap && !f->is_end)
        len += snprintf(line + len, SOURCE_LINE_MAX - (size_t)len, " %" PRIu64 "-%" PRIu64, f->at.ms,
                        f->at.offset);
    line[len++] = '\n';
    assert(f->channel_len <= CHANNEL_NAME_MAX && len <= (int)SOURCE_LINE_MAX);
    return (size_t)len;
}

struct frame *frame_with_source(struct frame *shared, const char *id, size_t id_len)
{
    char line[SOURCE_LINE_MAX];
    size_t line_len = source_line(shared, line);
    size_t id_line_len = id ? sse_id_line_size(id_len) : shared->id_line_len;
    struct frame *f = frame_before(shared, id_line_len + line_len);
    if (!f)
        return NULL;
    f->id_line_len = (uint32_t)id_line_len;
    char *at = f->wire + f->body_at;
    if (id)
        sse_put_id(at, id, id_len);
    else
        memcpy(at, shared->wire + shared->body_at, id_line_len);
    memcpy(at + id_line_len, line, line_len);
    return f;
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): an iovec knows no const; its bytes are only read
#define PIECE(at, len) ((struct iovec){.iov_base = (void *)(uintptr_t)(at), .iov_len = (len)})

int frame_pieces(const struct frame *f, bool body_only, struct iovec pieces[FRAME_PIECES])
{
    size_t from = body_only ? f->body_at : 0;
    const struct frame *rest = f->rest;
    if (!rest) {
        pieces[0] = PIECE(f->wire + from, body_only ? f->body_len : f->wire_len);
        return 1;
    }
    size_t skipped = rest->body_at + rest->id_line_len;
    pieces[0] = PIECE(f->wire + from, f->wire_len - from);
    pieces[1] = PIECE(rest->wire + skipped, rest->wire_len - skipped - (body_only ? SSE_CHUNK_TAIL : 0));
    return 2;
}

struct frame *frame_retain(struct frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void frame_release(struct frame *f)
{
    // Release, then acquire by the last one: what other threads read of the frame is over before it is freed.
    while (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        struct frame *rest = f->rest;
        if (f->trace)
            free(f->trace);
        free(f);
        f = rest;
    }
}
