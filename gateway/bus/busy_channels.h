// The channels that have the most messages, found by samples: a table of BUSY_CHANNELS rows, in which a new channel
// takes the row of the least (space-saving; Metwally, Agrawal, El Abbadi 2005). The bus' thread notes, another thread
// watches and takes; while none watches, a note is one read of a variable. Pure but for the lock.
//
// What the rows hold fades with each busy_channels_take, so that they say what is busy now.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/channel_ref.h"
#include "common/pattern.h"

#define BUSY_CHANNELS 64u

struct busy_channel {
    char name[CHANNEL_NAME_MAX];
    size_t len;
    uint64_t hash;
    double messages; // that the samples stand for; busy_channels_take makes it a rate
    double bytes;    // likewise, of payload
    double error;    // of `messages`, those that may be of the channels that had the row before
};

struct busy_channels {
    _Atomic uint32_t every; // one message of so many is noted, at random; 0: nobody watches
    uint32_t skip;          // messages until the next one; this and `random`: of the bus' thread
    uint64_t random;
    pthread_mutex_t lock; // of what follows
    struct busy_channel items[BUSY_CHANNELS];
    size_t count;
    double weight; // of the takes that `items` stand for
};

// False where there is no lock.
bool busy_channels_init(struct busy_channels *b);
void busy_channels_deinit(struct busy_channels *b);

// Notes a message of `channel`, if it is the one's turn.
void busy_channels_sample(struct busy_channels *b, struct channel_ref channel, size_t len, uint32_t every);
static inline void busy_channels_note(struct busy_channels *b, struct channel_ref channel, size_t len)
{
    uint32_t every = atomic_load_explicit(&b->every, memory_order_relaxed);
    if (every > 0)
        busy_channels_sample(b, channel, len, every);
}

// From now on one message of `every` is noted; 0: none, and the rows are empty again.
void busy_channels_watch(struct busy_channels *b, uint32_t every);
// The rows, the busiest first, as messages and bytes between two takes; without those that only inherited what they
// have. Returns how many.
size_t busy_channels_take(struct busy_channels *b, struct busy_channel out[BUSY_CHANNELS]);
