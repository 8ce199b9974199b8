#include "gateway/client/connect_rate.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/map.h"

#define SETS 16384u  // a power of two
#define WAYS 4u      // slots in which an address may stand
#define STREAM 1000u // what one stream takes, in ticks: a bucket gets `per_second` ticks a millisecond

struct bucket {
    uint64_t key; // 0: free
    uint64_t
        full_at; // ticks: when it is full again, if nothing more is taken. That is all there is to know of it
};

struct connect_rate {
    uint64_t per_second, size; // `size`: ticks of a full bucket
    pthread_mutex_t lock;
    struct bucket buckets[SETS][WAYS];
};

struct connect_rate *connect_rate_create(uint32_t per_second, uint32_t burst)
{
    assert(per_second > 0 && per_second <= CONNECT_RATE_MAX && burst > 0);
    struct connect_rate *r = calloc(1, sizeof *r); // 1 MiB: the kernel gives each page when it is first used
    if (!r || pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    r->per_second = per_second;
    r->size = (uint64_t)burst * STREAM;
    return r;
}

static uint32_t four_times(uint32_t n)
{
    return n < CONNECT_RATE_MAX / 4 ? n * 4 : CONNECT_RATE_MAX;
}

struct connect_rate *connect_rate_for_handshakes(uint32_t per_second, uint32_t burst)
{
    return connect_rate_create(four_times(per_second), four_times(burst));
}

void connect_rate_destroy(struct connect_rate *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

// The bucket of `key`; else the fullest one of its set, which becomes a full one of `key`.
static struct bucket *find(struct connect_rate *r, uint64_t key)
{
    struct bucket *set = r->buckets[map_hash((const char *)&key, sizeof key) & (SETS - 1)];
    struct bucket *fullest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_at < fullest->full_at)
            fullest = &set[i];
    }
    *fullest = (struct bucket){.key = key};
    return fullest;
}

bool connect_rate_take(struct connect_rate *r, uint64_t key, uint64_t now_ms)
{
    uint64_t now = now_ms * r->per_second;
    pthread_mutex_lock(&r->lock);
    struct bucket *b = find(r, key);
    uint64_t full_at = (b->full_at > now ? b->full_at : now) + STREAM;
    bool has_one = full_at - now <= r->size;
    if (has_one)
        b->full_at = full_at;
    pthread_mutex_unlock(&r->lock);
    return has_one;
}
