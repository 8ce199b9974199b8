#include "gateway/redis/redis_reader.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The depth of the deepest reply of Redis: a map of slots has 4 levels.
#define DEPTH_MAX 4
// Bytes of a line: a status, an error, a number or a count.
#define LINE_MAX_BYTES 65536u
// Elements of an array that are not left out for what came before them.
#define UNCUT_ELEMENTS 2

static void *refuse(struct redis_reader *r, const char *error)
{
    r->error = error;
    return NULL; // hiredis takes that for a lack of memory, and stops
}

#if HIREDIS_MAJOR >= 1
static void *check_array(const redisReadTask *task, size_t elements)
#else
static void *check_array(const redisReadTask *task, int elements)
#endif
{
    struct redis_reader *r = task->privdata;
    if (r->hiredis->ridx >= DEPTH_MAX)
        return refuse(r, "an answer that is nested too deep");
    if ((size_t)elements > r->limits.elements - r->elements)
        return refuse(r, "an answer with too many elements");
    r->elements += (size_t)elements;
    return r->build.createArray(task, elements);
}

// Whether a string of an array is kept.
static bool keeps(struct redis_reader *r, const redisReadTask *task)
{
    const redisReadTask *element = task;
    while (element->parent && element->parent->parent)
        element = element->parent;
    int index = element->parent ? (int)element->idx : 0;
    if (index != r->element) {
        r->element = index;
        r->kept_element = 0;
        r->is_cut = index >= UNCUT_ELEMENTS && r->kept >= r->limits.kept;
    }
    return !r->is_cut && r->kept_element < r->limits.kept_element;
}

static void *check_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_reader *r = task->privdata;
    if (len > r->limits.bytes - r->bytes)
        return refuse(r, "an answer that is too large");
    r->bytes += len;
    r->announced += len;
    if (r->limits.kept > 0 && !keeps(r, task) && task->type == REDIS_REPLY_STRING) {
        redisReadTask status = *task;
        status.type = REDIS_REPLY_STATUS;
        return r->build.createString(&status, text, 0);
    }
    r->kept += len;
    r->kept_element += len;
    return r->build.createString(task, text, len);
}

static void begin_reply(struct redis_reader *r)
{
    r->elements = r->bytes = r->announced = r->kept = r->kept_element = 0;
    r->element = -1;
    r->is_cut = false;
}

void *redis_reader_context(const redisReadTask *task)
{
    const struct redis_reader *r = task->privdata;
    return r->context;
}

static bool renew(struct redis_reader *r)
{
    if (r->hiredis)
        redisReaderFree(r->hiredis);
    begin_reply(r);
    r->hiredis = redisReaderCreate();
    if (!r->hiredis)
        return false;
    if (!r->has_functions)
        r->build = *r->hiredis->fn;
    r->check = r->build;
    r->check.createArray = check_array;
    r->check.createString = check_string;
    r->hiredis->fn = &r->check;
    r->hiredis->privdata = r;
    return true;
}

bool redis_reader_reset(struct redis_reader *r, const redisReplyObjectFunctions *functions, void *context,
                        const struct redis_limits *limits)
{
    assert(limits->elements > 0 && limits->bulk > 0 && limits->bytes > 0);
    r->has_functions = functions != NULL;
    if (functions)
        r->build = *functions;
    r->context = context;
    r->limits = *limits;
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
    assert(h->len - h->pos >= sizeof nil); // a length above any limit, and its line end, take more
    h->pos = h->len - sizeof nil;
    memcpy(h->buf + h->pos, nil, sizeof nil);
}

// The reader buffers a bulk string whole. One that is too large is cut out of the stream instead: what has
// come of it goes with the reader, what is still to come is skipped. Deep in a reply, as in the entries of a
// stream, a nil takes its place. Else it must be the last element of its reply, which goes with it, so that
// the next byte begins a new one.
static enum redis_read guard(struct redis_reader *r, size_t *skipped)
{
    const redisReader *h = r->hiredis;
    unsigned long long len;
    size_t have;
    r->error = "an answer that is too large";
    if (!waits_for_bulk(h, &len, &have)) // but for a line
        return h->len - h->pos > LINE_MAX_BYTES ? REDIS_READ_ERROR : REDIS_READ_MORE;
    if (len <= r->limits.bulk)
        return len > r->limits.bytes - r->bytes ? REDIS_READ_ERROR : REDIS_READ_MORE;
    bool last = h->ridx == 0 || task_at(h, h->ridx)->idx + 1 == (long long)task_at(h, h->ridx - 1)->elements;
    bool deep = h->ridx > 1;
    if ((!last && !deep) || len > SIZE_MAX - 2 || have > len + 2 || h->len - h->pos < 4)
        return REDIS_READ_ERROR;
    r->skip = (size_t)len + 2 - have;
    r->announced += (size_t)len;
    *skipped = (size_t)len;
    if (deep) {
        put_nil(r->hiredis);
        return REDIS_READ_SKIPPED;
    }
    r->error = "out of memory";
    return renew(r) ? REDIS_READ_SKIPPED : REDIS_READ_ERROR;
}

enum redis_read redis_reader_next(struct redis_reader *r, void **reply, size_t *skipped)
{
    *reply = NULL;
    if (r->hiredis->ridx < 0)
        begin_reply(r);
    r->error = NULL;
    if (redisReaderGetReply(r->hiredis, reply) != REDIS_OK) {
        if (!r->error)
            r->error = r->hiredis->errstr;
        return REDIS_READ_ERROR;
    }
    return *reply ? REDIS_READ_REPLY : guard(r, skipped);
}
