#include "gateway/bus/busy_channels.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/jitter.h"

// The part of a row that is left after a take: half of what a row says is of the last three takes.
#define KEPT 0.8
#define LEAST 0.01 // a row with less is dropped

bool busy_channels_init(struct busy_channels *b)
{
    *b = (struct busy_channels){.random = jitter_seed()};
    return pthread_mutex_init(&b->lock, NULL) == 0;
}

void busy_channels_deinit(struct busy_channels *b)
{
    pthread_mutex_destroy(&b->lock);
}

// The row of the channel, made where there is none.
static struct busy_channel *find_row(struct busy_channels *b, struct channel_ref channel)
{
    struct busy_channel *least = &b->items[0];
    for (size_t i = 0; i < b->count; i++) {
        struct busy_channel *row = &b->items[i];
        if (row->hash == channel.hash && row->len == channel.len &&
            memcmp(row->name, channel.name, channel.len) == 0)
            return row;
        if (row->messages < least->messages)
            least = row;
    }
    double inherited = 0;
    if (b->count < BUSY_CHANNELS)
        least = &b->items[b->count++];
    else
        inherited = least->messages;
    *least = (struct busy_channel){
        .len = channel.len, .hash = channel.hash, .messages = inherited, .error = inherited};
    memcpy(least->name, channel.name, channel.len);
    return least;
}

void busy_channels_sample(struct busy_channels *b, struct channel_ref channel, size_t len, uint32_t every)
{
    assert(channel.len <= CHANNEL_NAME_MAX);
    if (b->skip > 1 && b->skip < 2 * every) { // else `every` has become less
        b->skip--;
        return;
    }
    // Evenly from 1 to 2 * every - 1: a publisher that repeats a pattern must not meet the same place of it.
    b->skip = 1 + (uint32_t)(jitter_next(&b->random) % (2 * (uint64_t)every - 1));
    pthread_mutex_lock(&b->lock);
    struct busy_channel *row = find_row(b, channel);
    row->messages += every;
    row->bytes += (double)every * (double)len;
    pthread_mutex_unlock(&b->lock);
}

void busy_channels_watch(struct busy_channels *b, uint32_t every)
{
    atomic_store(&b->every, every);
    if (every > 0)
        return;
    pthread_mutex_lock(&b->lock);
    b->count = 0;
    b->weight = 0;
    pthread_mutex_unlock(&b->lock);
}

static int by_messages(const void *one, const void *other)
{
    const struct busy_channel *a = one, *b = other;
    return a->messages < b->messages ? 1 : a->messages > b->messages ? -1 : 0;
}

// Multiplies each row by KEPT, and drops those that are left with less than LEAST.
static void fade(struct busy_channels *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct busy_channel *row = &b->items[i];
        row->messages *= KEPT;
        row->bytes *= KEPT;
        row->error *= KEPT;
        if (row->messages >= LEAST)
            b->items[kept++] = *row;
    }
    b->count = kept;
}

size_t busy_channels_take(struct busy_channels *b, struct busy_channel out[BUSY_CHANNELS])
{
    size_t count = 0;
    pthread_mutex_lock(&b->lock);
    b->weight = b->weight * KEPT + 1;
    for (size_t i = 0; i < b->count; i++) {
        out[count] = b->items[i];
        out[count].messages = (out[count].messages - out[count].error) / b->weight;
        out[count].bytes /= b->weight;
        count += out[count].messages > 0;
    }
    fade(b);
    pthread_mutex_unlock(&b->lock);
    qsort(out, count, sizeof *out, by_messages);
    return count;
}
