// Turns a message into a frame once, and posts the frames of a turn together to the workers that want them. A
// message that cannot be delivered is counted, and its streams get gateway:gap. Where even that mail cannot
// be posted for want of memory, the worker is told later that none of its channels is confirmed
// (delivery_resync). The bus' thread alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/bus/busy_channels.h"
#include "gateway/bus/channels.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/message.h"
#include "gateway/threads/mailbox.h"

#define OUTBOX_MAX 64u

// Frames for one worker that are posted together: a burst from Redis wakes it once, and reaches each stream
// in one write. So do all frames of one message, which may be more than OUTBOX_MAX.
#define OUTBOX_SIZE (OUTBOX_MAX + MESSAGE_EVENTS_MAX)
struct outbox {
    struct mail mails[OUTBOX_SIZE];
    size_t count;
};

struct delivery {
    // Borrowed.
    const struct channels *channels;
    struct counters *counters;
    const struct payload_policy *payload;
    size_t max_message; // bytes of the data of each event of a message that holds several
    struct busy_channels *busy;
    struct mailbox *const *workers;
    size_t worker_count;

    struct outbox outboxes[WORKERS_MAX];
    uint64_t subscribe_seq[WORKERS_MAX]; // of each worker: the last one that came; confirmations echo it
    bool gaps_due;                       // a channel has gap_due since the last tick
    uint64_t out_of_sync;                // a bit for each worker that missed a mail for want of memory
    uint64_t drop_logged_at[COUNTER_COUNT];
};

// A message of a channel that is wanted. `read_at_ns`: monotonic, when it was read from Redis.
void delivery_message(struct delivery *d, struct bus_channel *c, const char *payload, size_t len,
                      uint64_t read_at_ns);
// Counts a message, or an event of one, that is not delivered, and logs the first of its kind now and then. `len`: bytes of
// the whole message.
void delivery_drop(struct delivery *d, enum counter reason, struct channel_ref channel, size_t len);
// The same for a message that should have been delivered; each worker of the channel is told of the gap.
void delivery_lost(struct delivery *d, enum counter reason, struct bus_channel *c, size_t len);
// Posts the frames of all outboxes: at the end of a turn.
void delivery_flush(struct delivery *d);

// The mails of all these functions reach the worker behind the frames that were delivered before.
//
// Tells `workers` (a bit each) that the channel is confirmed.
void delivery_confirm(struct delivery *d, uint64_t workers, const struct bus_channel *c,
                      const struct history_tail *tail);
// A page of history for worker `w`. Takes the references of its frames.
void delivery_page(struct delivery *d, size_t w, struct channel_ref channel, const struct history_page *page);
// The page with that number cannot be had now: worker `w` asks again a little later.
void delivery_page_lost(struct delivery *d, size_t w, uint32_t number);
// Tells the workers of the channel that its subscription is gone.
void delivery_unconfirm_channel(struct delivery *d, const struct bus_channel *c);
// Messages of the channel were lost: tells each of its workers once, and again only after a message has
// reached it.
void delivery_gap(struct delivery *d, struct bus_channel *c);
// The channel was subscribed anew, and the messages that were published meanwhile did not come: tells
// `workers` (a bit each), ahead of delivery_confirm.
void delivery_resubscribed(struct delivery *d, uint64_t workers, struct bus_channel *c);
// No channel is confirmed any more: tells every worker.
void delivery_unconfirm(struct delivery *d);

// Tells the channel's workers of losses that are due (gap_due). Now and then, for each channel.
void delivery_tell_due(struct delivery *d, struct bus_channel *c);
// Frees the frames that were not posted. When the bus is destroyed.
void delivery_release(struct delivery *d);
// Tells worker `w`, which missed a mail, that no channel is confirmed and no page will come; the caller
// confirms its channels anew. False where the worker is in sync, or memory is still too short for the mail.
bool delivery_resync(struct delivery *d, size_t w);
