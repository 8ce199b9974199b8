// From a message to the workers that want it: made into a frame once, posted together with the others of the
// turn. What cannot get through is counted, and its loss is told with gateway:gap. The bus thread's alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/counters.h"
#include "gateway/fanout/message.h"
#include "gateway/bus/channels.h"
#include "gateway/threads/mailbox.h"

#define OUTBOX_MAX 64u

// Frames for one worker that are posted together: a burst from Redis wakes it once, and reaches each stream
// in one write.
struct outbox {
    struct mail mails[OUTBOX_MAX];
    size_t count;
};

struct delivery {
    // The channel of that name, wherever it is wanted; NULL where it is wanted no more. Asked only about a
    // frame that is refused: a message comes with its channel.
    struct interest *(*find)(void *ctx, uint64_t hash, const char *name, size_t len);
    void *find_ctx;

    // Borrowed.
    struct counters *counters;
    const struct payload_policy *payload;
    struct mailbox *const *workers;
    size_t worker_count;

    struct outbox outboxes[WORKERS_MAX];
    uint64_t subscribe_seq[WORKERS_MAX]; // of each worker: the last subscribe_seq that came
    uint64_t drop_logged_at[COUNTER_COUNT];
};

// A message of a channel that is wanted.
void delivery_message(struct delivery *d, struct interest *i, const char *payload, size_t len);
// Counts a message that is not delivered, and logs the first of its kind now and then.
void delivery_drop(struct delivery *d, enum counter reason, const char *channel, size_t channel_len,
                   size_t len);
// Worker `w` wants a channel: what is confirmed from now on was said by one who knows that.
void delivery_note_subscribe_seq(struct delivery *d, size_t w, uint64_t subscribe_seq);
// Posts what has been collected: at the end of a turn.
void delivery_flush(struct delivery *d);

// Tells worker `w` that the channel is confirmed, behind the frames before.
void delivery_confirm(struct delivery *d, size_t w, const struct interest *i,
                      const struct history_tail *tail);
// A page of history for worker `w`, behind the frames before. Takes the references of its frames.
void delivery_page(struct delivery *d, size_t w, const char *channel, size_t len,
                   const struct history_page *page);
// The subscription of the channel is gone: tells worker `w`, behind the frames before.
void delivery_unconfirm_channel(struct delivery *d, size_t w, const struct interest *i);
// Messages of the channel were lost for worker `w`: tells it once, until one gets through again.
void delivery_gap(struct delivery *d, struct interest *i, size_t w);
// The channel was subscribed anew, and what was published meanwhile did not come: tells worker `w`, ahead of
// delivery_confirm.
void delivery_resubscribed(struct delivery *d, struct interest *i, size_t w);
// The only connection to Redis is gone: tells every worker, behind the frames before.
void delivery_unconfirm(struct delivery *d);
