#include "gateway/redis/redis_reader.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool renew(struct redis_reader *r)
{
    if (r->hiredis)
        redisReaderFree(r->hiredis);
    r->hiredis = r->functions ? redisReaderCreateWithFunctions(r->functions) : redisReaderCreate();
    if (r->hiredis && r->functions)
        r->hiredis->privdata = r->context;
    return r->hiredis != NULL;
}

bool redis_reader_reset(struct redis_reader *r, redisReplyObjectFunctions *functions, void *context,
                        size_t max_bulk)
{
    r->functions = functions;
    r->context = context;
    r->max_bulk = max_bulk;
    r->skip = 0;
    r->error = NULL;
    return renew(r);
}

void redis_reader_deinit(struct redis_reader *r)
{
    if (r->hiredis)
        redisReaderFree(r->hiredis);
    r->hiredis = NULL;
}

bool redis_reader_feed(struct redis_reader *r, const char *bytes, size_t len)
{
    size_t skipped = r->skip < len ? r->skip : len;
    r->skip -= skipped;
    if (skipped == len || redisReaderFeed(r->hiredis, bytes + skipped, len - skipped) == REDIS_OK)
        return true;
    r->error = r->hiredis->errstr;
    return false;
}

// The task that the reader is at; from 1.0 on they are allocated one by one.
static const redisReadTask *task_at(const redisReader *h, int depth)
{
#if HIREDIS_MAJOR >= 1
    return h->task[depth];
#else
    return &h->rstack[depth];
#endif
}

// The length of the bulk string that the reader waits for, and how much of it is there. False where it waits
// for something else.
static bool waits_for_bulk(const redisReader *h, unsigned long long *len, size_t *have)
{
    if (h->ridx < 0 || h->pos >= h->len || task_at(h, h->ridx)->type != REDIS_REPLY_STRING)
        return false;
    const char *begin = h->buf + h->pos;
    const char *end = memchr(begin, '\n', h->len - h->pos);
    if (!end)
        return false;
    *len = strtoull(begin + (*begin == '$'), NULL, 10);
    *have = h->len - h->pos - (size_t)(end + 1 - begin);
    return true;
}

// Leaves a nil in the place of the bulk string that the reader waits for: it has read the "$" already.
static void put_nil(redisReader *h)
{
    static const char nil[] = {'-', '1', '\r', '\n'};
    h->pos = h->len - sizeof nil; // a length above any limit, and its line end, take more
    memcpy(h->buf + h->pos, nil, sizeof nil);
}

// The reader buffers a bulk string whole. One that is too large is cut out of the stream instead: what has
// come of it goes with the reader, what is still to come is skipped. Deep in a reply, as in the entries of a
// stream, a nil takes its place. Else it must be the last element of its reply, which goes with it, so that the
// next byte begins a new one.
static enum redis_read guard(struct redis_reader *r, size_t *skipped)
{
    const redisReader *h = r->hiredis;
    unsigned long long len;
    size_t have;
    if (!waits_for_bulk(h, &len, &have) || len <= r->max_bulk)
        return REDIS_READ_MORE;
    bool last = h->ridx == 0 || task_at(h, h->ridx)->idx + 1 == (long long)task_at(h, h->ridx - 1)->elements;
    r->error = "a reply that is too large";
    if (h->ridx > 1 && len <= SIZE_MAX - 2 && have <= len + 2 && h->len - h->pos >= 4) {
        r->skip = (size_t)len + 2 - have;
        *skipped = (size_t)len;
        put_nil(r->hiredis);
        return REDIS_READ_SKIPPED;
    }
    if (!last || len > SIZE_MAX - 2 || have > len + 2)
        return REDIS_READ_ERROR;
    r->skip = (size_t)len + 2 - have;
    *skipped = (size_t)len;
    r->error = "out of memory";
    return renew(r) ? REDIS_READ_SKIPPED : REDIS_READ_ERROR;
}

enum redis_read redis_reader_next(struct redis_reader *r, void **reply, size_t *skipped)
{
    *reply = NULL;
    if (redisReaderGetReply(r->hiredis, reply) != REDIS_OK) {
        r->error = r->hiredis->errstr;
        return REDIS_READ_ERROR;
    }
    return *reply ? REDIS_READ_REPLY : guard(r, skipped);
}
