#include "gateway/client/outq.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Queues that stay in the pool however long nothing happens.
#define POOL_KEEP 64u

static struct outq *pool_take(struct outq_pool *pool)
{
    struct outq *q = pool->free;
    pool->free = q->next_free;
    pool->free_count--;
    return q;
}

struct outq *outq_borrow(struct outq_pool *pool, bool body_only)
{
    struct outq *q = pool->free ? pool_take(pool) : malloc(sizeof *q);
    if (!q)
        return NULL;
    pool->lent++;
    q->ring = q->small;
    q->capacity = OUTQ_INLINE;
    q->head = q->count = q->head_sent = 0;
    q->bytes = 0;
    q->taken = 0;
    q->body_only = body_only;
    q->watched = false;
    return q;
}

static struct frame **outq_at(const struct outq *q, uint32_t i)
{
    return &q->ring[(q->head + i) & (q->capacity - 1)];
}

void outq_return(struct outq_pool *pool, struct outq *q)
{
    if (!q)
        return;
    assert(pool->lent > 0);
    pool->lent--;
    for (uint32_t i = 0; i < q->count; i++)
        frame_release(*outq_at(q, i));
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
    for (uint32_t n = (pool->free_count - POOL_KEEP + 7) / 8; n > 0; n--)
        free(pool_take(pool));
}

void outq_pool_deinit(struct outq_pool *pool)
{
    while (pool->free)
        free(pool_take(pool));
}

static bool outq_grow(struct outq *q)
{
    struct frame **ring = malloc(2 * q->capacity * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = *outq_at(q, i);
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
    *outq_at(q, q->count++) = f;
    q->bytes += frame_size(f, q->body_only);
    return true;
}

int outq_gather(const struct outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct frame *f = *outq_at(q, i);
        if (n + (f->rest ? FRAME_PIECES : 1) > max)
            break;
        n += frame_pieces(f, q->body_only, iov + n);
    }
    // The socket may have taken the whole first piece of the first frame.
    size_t sent = q->head_sent;
    for (int i = 0; i < n && sent > 0; i++) {
        size_t part = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        iov[i].iov_base = (char *)iov[i].iov_base + part;
        iov[i].iov_len -= part;
        sent -= part;
    }
    return n;
}

void outq_consume(struct outq *q, size_t n)
{
    assert(n <= q->bytes);
    q->bytes -= n;
    q->taken += n;
    n += q->head_sent;
    while (q->count > 0) {
        struct frame *f = q->ring[q->head];
        size_t len = frame_size(f, q->body_only);
        if (n < len)
            break;
        n -= len;
        frame_release(f);
        q->head = (q->head + 1) & (q->capacity - 1);
        q->count--;
    }
    q->head_sent = (uint32_t)n;
}

static uint32_t outq_started(const struct outq *q)
{
    return q->head_sent > 0 ? 1 : 0;
}

uint32_t outq_drop_unstarted(struct outq *q)
{
    uint32_t dropped = 0;
    while (q->count > outq_started(q)) {
        struct frame *f = *outq_at(q, --q->count);
        q->bytes -= frame_size(f, q->body_only);
        frame_release(f);
        dropped++;
    }
    return dropped;
}

static bool may_drop(const struct frame *f)
{
    return f->channel_len > 0 && !f->is_gap && !f->is_end;
}

struct frame *outq_take_oldest(struct outq *q)
{
    uint32_t i = outq_started(q);
    while (i < q->count && !may_drop(*outq_at(q, i)))
        i++;
    if (i >= q->count)
        return NULL;
    struct frame *f = *outq_at(q, i);
    q->bytes -= frame_size(f, q->body_only);
    // The few before it move up, but for the ends that it makes untrue.
    uint32_t to = i;
    while (i-- > 0) {
        struct frame *before = *outq_at(q, i);
        if (i >= outq_started(q) && before->is_end && before->channel_hash == f->channel_hash) {
            q->bytes -= frame_size(before, q->body_only);
            frame_release(before);
        } else {
            *outq_at(q, to--) = before;
        }
    }
    q->head = (q->head + to + 1) & (q->capacity - 1);
    q->count -= to + 1;
    return f;
}

bool outq_insert_first(struct outq *q, struct frame *f)
{
    if (q->count == q->capacity && !outq_grow(q))
        return false;
    q->head = (q->head - 1) & (q->capacity - 1);
    q->count++;
    if (q->head_sent > 0) {
        // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): the frame that has begun stood there
        *outq_at(q, 0) = *outq_at(q, 1);
        *outq_at(q, 1) = f;
    } else {
        *outq_at(q, 0) = f;
    }
    q->bytes += frame_size(f, q->body_only);
    return true;
}

bool outq_has_gap(const struct outq *q, const struct frame *f)
{
    for (uint32_t i = 0; i < q->count; i++) {
        const struct frame *g = *outq_at(q, i);
        if (g->is_gap && g->channel_hash == f->channel_hash)
            return true;
        if (!g->is_gap && i >= outq_started(q))
            break; // gaps stand before all events
    }
    return false;
}

size_t outq_waiting_bytes(const struct outq *q)
{
    return q->count == 0 ? 0 : q->bytes - (frame_size(*outq_at(q, 0), q->body_only) - q->head_sent);
}
