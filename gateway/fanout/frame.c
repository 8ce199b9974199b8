#include "gateway/fanout/frame.h"

#include <stdlib.h>
#include <string.h>

static struct frame *frame_alloc(size_t body_len, bool chunked, size_t channel_len)
{
    if (body_len >= UINT32_MAX - SSE_CHUNK_HEAD_MAX - SSE_CHUNK_TAIL)
        return NULL;
    char head[SSE_CHUNK_HEAD_MAX];
    size_t head_len = chunked ? sse_chunk_head(body_len, head) : 0;
    size_t wire_len = head_len + body_len + (chunked ? SSE_CHUNK_TAIL : 0);
    struct frame *f = malloc(sizeof *f + wire_len + channel_len);
    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    f->wire_len = (uint32_t)wire_len;
    f->body_len = (uint32_t)body_len;
    f->body_at = (uint16_t)head_len;
    f->channel_len = (uint16_t)channel_len;
    f->is_gap = false;
    f->channel_hash = 0;
    f->channel = f->wire + wire_len;
    memcpy(f->wire, head, head_len);
    if (chunked)
        memcpy(f->wire + head_len + body_len, "\r\n", SSE_CHUNK_TAIL);
    return f;
}

struct frame *frame_create(const struct sse_event *event, uint64_t channel_hash, const char *channel,
                           size_t channel_len)
{
    struct frame *f = frame_alloc(sse_encoded_size(event), true, channel_len);
    if (!f)
        return NULL;
    sse_encode(event, f->wire + f->body_at);
    f->channel_hash = channel_hash;
    if (channel_len)
        memcpy(f->channel, channel, channel_len);
    return f;
}

struct frame *frame_from_bytes(const char *bytes, size_t len, bool chunked)
{
    struct frame *f = frame_alloc(len, chunked, 0);
    if (f)
        memcpy(f->wire + f->body_at, bytes, len);
    return f;
}

struct frame *frame_retain(struct frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void frame_release(struct frame *f)
{
    // Release, then acquire by the last one: what other threads read of the frame is over before it is freed.
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        free(f);
}
