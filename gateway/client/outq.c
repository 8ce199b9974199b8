#include "gateway/client/outq.h"

#include <stdlib.h>
#include <string.h>

// Queues that stay in the pool however long nothing happens.
#define POOL_KEEP 64u

struct outq *outq_borrow(struct outq_pool *pool, bool body_only)
{
    struct outq *q = pool->free;
    if (q) {
        pool->free = q->next_free;
        pool->free_count--;
    } else {
        q = malloc(sizeof *q);
        if (!q)
            return NULL;
    }
    q->ring = q->small;
    q->capacity = OUTQ_INLINE;
    q->head = q->count = q->head_sent = 0;
    q->bytes = 0;
    q->body_only = body_only;
    return q;
}

void outq_return(struct outq_pool *pool, struct outq *q)
{
    if (!q)
        return;
    for (uint32_t i = 0; i < q->count; i++)
        frame_release(q->ring[(q->head + i) & (q->capacity - 1)]);
    if (q->ring != q->small)
        free(q->ring);
    q->next_free = pool->free;
    pool->free = q;
    pool->free_count++;
}

void outq_pool_trim(struct outq_pool *pool)
{
    if (pool->free_count <= POOL_KEEP)
        return;
    for (uint32_t n = (pool->free_count - POOL_KEEP + 7) / 8; n > 0; n--) {
        struct outq *q = pool->free;
        pool->free = q->next_free;
        pool->free_count--;
        free(q);
    }
}

void outq_pool_deinit(struct outq_pool *pool)
{
    while (pool->free) {
        struct outq *q = pool->free;
        pool->free = q->next_free;
        free(q);
    }
    pool->free_count = 0;
}

static bool outq_grow(struct outq *q)
{
    struct frame **ring = malloc(2 * q->capacity * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = q->ring[(q->head + i) & (q->capacity - 1)];
    if (q->ring != q->small)
        free(q->ring);
    q->ring = ring;
    q->head = 0;
    q->capacity *= 2;
    return true;
}

bool outq_push(struct outq *q, struct frame *f)
{
    if (q->count == q->capacity && !outq_grow(q))
        return false;
    q->ring[(q->head + q->count++) & (q->capacity - 1)] = f;
    q->bytes += frame_bytes(f, q->body_only).iov_len;
    return true;
}

int outq_gather(const struct outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (; n < max && (uint32_t)n < q->count; n++)
        iov[n] = frame_bytes(q->ring[(q->head + (uint32_t)n) & (q->capacity - 1)], q->body_only);
    if (n > 0) {
        iov[0].iov_base = (char *)iov[0].iov_base + q->head_sent;
        iov[0].iov_len -= q->head_sent;
    }
    return n;
}

void outq_consume(struct outq *q, size_t n)
{
    q->bytes -= n;
    n += q->head_sent;
    while (q->count > 0) {
        struct frame *f = q->ring[q->head];
        size_t len = frame_bytes(f, q->body_only).iov_len;
        if (n < len)
            break;
        n -= len;
        frame_release(f);
        q->head = (q->head + 1) & (q->capacity - 1);
        q->count--;
    }
    q->head_sent = (uint32_t)n;
}

uint32_t outq_drop_unstarted(struct outq *q)
{
    uint32_t keep = q->head_sent > 0 ? 1 : 0;
    uint32_t dropped = 0;
    while (q->count > keep) {
        struct frame *f = q->ring[(q->head + --q->count) & (q->capacity - 1)];
        q->bytes -= frame_bytes(f, q->body_only).iov_len;
        frame_release(f);
        dropped++;
    }
    return dropped;
}
