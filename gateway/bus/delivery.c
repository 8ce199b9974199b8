#include "gateway/bus/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"

// A sender of bad messages must not fill the log.
#define DROP_LOG_EVERY_MS 60000u

// For each worker whose bit is set: `rest &= rest - 1` clears the lowest bit.
static size_t first_worker(uint64_t rest)
{
    return (size_t)__builtin_ctzll(rest);
}

void delivery_drop(struct delivery *d, enum counter reason, struct channel_ref channel, size_t len)
{
    static const char *const why[COUNTER_COUNT] = {
        [COUNTER_DROPPED_TOO_LARGE] = "it is larger than --max-message",
        [COUNTER_DROPPED_NOT_TEXT] = "it is no UTF-8 text without NUL",
        [COUNTER_DROPPED_ENVELOPE] = "its envelope breaks a rule",
        [COUNTER_DROPPED_PLAIN] = "it has no envelope, and --payload wants one",
        [COUNTER_DROPPED_BACKLOG] = "a worker is too far behind (--backlog-limit)",
        [COUNTER_DROPPED_MEMORY] = "out of memory",
    };
    counter_add(d->counters, reason, 1);
    uint64_t now = clock_monotonic_ms();
    if (d->drop_logged_at[reason] && now - d->drop_logged_at[reason] < DROP_LOG_EVERY_MS)
        return;
    d->drop_logged_at[reason] = now;
    log_warn("delivery",
             "dropped a message of %zu bytes on channel %.*s: %s (more of this kind are counted, not logged)",
             len, (int)channel.len, channel.name, why[reason]);
}

// A mail for the worker could not be posted. At the next tick delivery_resync tells it that no channel is
// confirmed.
static void lose_sync(struct delivery *d, size_t w)
{
    if (!(d->out_of_sync & UINT64_C(1) << w))
        log_error("delivery", "out of memory: worker %zu is told anew about its channels", w);
    d->out_of_sync |= UINT64_C(1) << w;
}

static bool tell(struct delivery *d, size_t w, enum mail_kind kind, const struct bus_channel *c,
                 const struct history_tail *tail)
{
    const struct channel_ref ref = channel_ref_of(&c->entry);
    struct mail mail = {.kind = (uint16_t)kind, .channel = channel_mail_create(ref)};
    if (mail.channel) {
        mail.channel->tail = *tail;
        mail.channel->tail.subscribe_seq = d->subscribe_seq[w];
    }
    if (mail.channel && mailbox_post(d->workers[w], &mail))
        return true;
    free(mail.channel);
    lose_sync(d, w);
    return false;
}

// MAIL_GAP or MAIL_RESUBSCRIBED. Where there is no memory for it, the worker gets no message of the channel
// until it has been told.
static bool tell_loss(struct delivery *d, struct bus_channel *c, size_t w, enum mail_kind kind)
{
    uint64_t bit = UINT64_C(1) << w;
    bool told = tell(d, w, kind, c, &(struct history_tail){0});
    c->gap_due = told ? c->gap_due & ~bit : c->gap_due | bit;
    return told;
}

// gap_told says that no message of the channel has reached the worker since it was told. Another loss is told
// a little later, since a stream may have come to the channel meanwhile: at the tick, or before the next
// message.
static void tell_gap(struct delivery *d, struct bus_channel *c, size_t w)
{
    uint64_t bit = UINT64_C(1) << w;
    if (c->gap_told & bit) {
        c->gap_due |= bit;
        d->gaps_due = true;
    } else if (tell_loss(d, c, w, MAIL_GAP)) {
        c->gap_told |= bit;
    }
}

// A frame that worker `w` has no room for.
static void refuse(struct delivery *d, size_t w, struct frame *f)
{
    const struct channel_ref ref = {.name = f->channel, .len = f->channel_len, .hash = f->channel_hash};
    delivery_drop(d, COUNTER_DROPPED_BACKLOG, ref, f->body_len);
    struct bus_channel *c = channels_find(d->channels, ref);
    if (c)
        tell_gap(d, c, w);
    frame_release(f);
}

static void outbox_flush(struct delivery *d, size_t w)
{
    struct outbox *o = &d->outboxes[w];
    // After the first frame that is refused none of this outbox is delivered: so MAIL_GAP reaches the worker
    // before the next message of the channel.
    for (size_t i = mailbox_post_all(d->workers[w], o->mails, o->count); i < o->count; i++)
        refuse(d, w, o->mails[i].frame);
    o->count = 0;
}

void delivery_flush(struct delivery *d)
{
    for (size_t w = 0; w < d->worker_count; w++)
        outbox_flush(d, w);
}

static bool post(struct delivery *d, size_t w, const struct mail *mail)
{
    outbox_flush(d, w);
    return mailbox_post(d->workers[w], mail);
}

static void tell_each(struct delivery *d, uint64_t workers, enum mail_kind kind, const struct bus_channel *c,
                      const struct history_tail *tail)
{
    for (uint64_t rest = workers; rest != 0; rest &= rest - 1) {
        outbox_flush(d, first_worker(rest));
        (void)tell(d, first_worker(rest), kind, c, tail); // a failure is mended by delivery_resync
    }
}

void delivery_confirm(struct delivery *d, uint64_t workers, const struct bus_channel *c,
                      const struct history_tail *tail)
{
    tell_each(d, workers, MAIL_CONFIRMED, c, tail);
}

void delivery_unconfirm_channel(struct delivery *d, const struct bus_channel *c)
{
    tell_each(d, c->workers, MAIL_UNCONFIRMED, c, &(struct history_tail){0});
}

void delivery_page_lost(struct delivery *d, size_t w, uint32_t number)
{
    const struct mail mail = {.kind = MAIL_PAGE_LOST, .number = number}; // carries no allocation
    if (!post(d, w, &mail))
        lose_sync(d, w);
}

void delivery_page(struct delivery *d, size_t w, struct channel_ref channel, const struct history_page *page)
{
    struct page_mail *p = malloc(sizeof *p + page->count * sizeof *p->frames);
    struct mail mail = {.kind = MAIL_PAGE, .page = p};
    if (!p) {
        for (size_t i = 0; i < page->count; i++)
            frame_release(page->frames[i]);
        delivery_page_lost(d, w, page->query.number);
        return;
    }
    p->page = *page;
    p->page.frames = p->frames;
    if (page->count > 0) // without frames `frames` may be NULL
        memcpy(p->frames, page->frames, page->count * sizeof *p->frames);
    p->channel = channel_mail_create(channel);
    if (p->channel && post(d, w, &mail))
        return;
    page_mail_free(p);
    delivery_page_lost(d, w, page->query.number);
}

static void flush_and_tell_gaps(struct delivery *d, struct bus_channel *c, uint64_t workers)
{
    for (uint64_t rest = workers; rest != 0; rest &= rest - 1) {
        outbox_flush(d, first_worker(rest));
        tell_gap(d, c, first_worker(rest));
    }
}

void delivery_gap(struct delivery *d, struct bus_channel *c)
{
    flush_and_tell_gaps(d, c, c->workers);
}

void delivery_resubscribed(struct delivery *d, uint64_t workers, struct bus_channel *c)
{
    for (uint64_t rest = workers; rest != 0; rest &= rest - 1) {
        outbox_flush(d, first_worker(rest));
        (void)tell_loss(d, c, first_worker(rest), MAIL_RESUBSCRIBED); // a failure stays in gap_due
    }
    c->gap_told &= ~workers; // what is lost from now on is another loss
}

static void tell_due(struct delivery *d, struct bus_channel *c, uint64_t workers)
{
    uint64_t due = c->gap_due & workers;
    c->gap_told &= ~due;
    flush_and_tell_gaps(d, c, due);
}

void delivery_tell_due(struct delivery *d, struct bus_channel *c)
{
    tell_due(d, c, UINT64_MAX);
}

static bool unconfirm_worker(struct delivery *d, size_t w)
{
    const struct mail mail = {.kind = MAIL_UNCONFIRMED};
    return post(d, w, &mail);
}

void delivery_unconfirm(struct delivery *d)
{
    for (size_t w = 0; w < d->worker_count; w++)
        if (!unconfirm_worker(d, w))
            lose_sync(d, w);
}

bool delivery_resync(struct delivery *d, size_t w)
{
    const struct mail pages = {.kind = MAIL_PAGE_LOST}; // any page
    uint64_t bit = UINT64_C(1) << w;
    if (!(d->out_of_sync & bit) || !post(d, w, &pages) || !unconfirm_worker(d, w))
        return false;
    d->out_of_sync &= ~bit;
    return true;
}

// `is_followed`: by another frame of the same message.
static void deliver_to(struct delivery *d, size_t w, struct bus_channel *c, struct frame *f, bool is_followed)
{
    uint64_t bit = UINT64_C(1) << w;
    struct outbox *o = &d->outboxes[w];
    if (c->gap_due & bit) {
        outbox_flush(d, w);
        if (!mailbox_has_room(d->workers[w],
                              f->wire_len)) { // else each message without room would bring a gap
            refuse(d, w, frame_retain(f));
            return;
        }
        tell_due(d, c, bit);
    }
    if (c->gap_due & bit) {
        delivery_drop(d, COUNTER_DROPPED_MEMORY, channel_ref_of(&c->entry), f->body_len);
        return;
    }
    struct mail mail = {.kind = MAIL_FRAME, .is_followed = is_followed, .frame = frame_retain(f)};
    if (!(c->gap_told & bit)) {
        o->mails[o->count++] = mail;
        if ((o->count >= OUTBOX_MAX && !is_followed) || o->count == OUTBOX_SIZE)
            outbox_flush(d, w);
    } else if (post(d, w, &mail)) {
        c->gap_told &= ~bit;
    } else {
        refuse(d, w, f);
    }
}

void delivery_release(struct delivery *d)
{
    for (size_t w = 0; w < d->worker_count; w++)
        for (size_t i = 0; i < d->outboxes[w].count; i++)
            frame_release(d->outboxes[w].mails[i].frame);
}

void delivery_lost(struct delivery *d, enum counter reason, struct bus_channel *c, size_t len)
{
    delivery_drop(d, reason, channel_ref_of(&c->entry), len);
    delivery_gap(d, c);
}

static void begin_trace(struct delivery *d, const struct bus_channel *c, struct frame *f)
{
    struct frame_trace *t = f->trace;
    t->workers = (uint16_t)__builtin_popcountll(c->workers);
    t->read_at_us = clock_unix_us() - (int64_t)((clock_monotonic_ns() - f->read_at_ns) / 1000);
    if (!t->is_odd)
        return;
    counter_add(d->counters, COUNTER_TRACES_INVALID, 1);
    log_warn("delivery",
             "the traceparent or trace-to of an event on channel %.*s is ignored: it is not as "
             "docs/protocol.md says",
             (int)c->entry.len, c->name);
}

// The time of a message is noted with its last event, with which all have been written.
static void deliver_event(struct delivery *d, struct bus_channel *c, struct frame *f, uint64_t read_at_ns,
                          bool is_followed)
{
    f->read_at_ns = is_followed ? 0 : read_at_ns;
    if (f->trace)
        begin_trace(d, c, f);
    for (uint64_t rest = c->workers; rest != 0; rest &= rest - 1)
        deliver_to(d, first_worker(rest), c, f, is_followed);
    frame_release(f);
}

void delivery_message(struct delivery *d, struct bus_channel *c, const char *payload, size_t len,
                      uint64_t read_at_ns)
{
    struct message_event events[MESSAGE_EVENTS_MAX];
    const struct channel_ref channel = channel_ref_of(&c->entry);
    busy_channels_note(d->busy, channel, len);
    size_t count = message_events(d->payload, channel, payload, len, d->max_message, events);
    size_t last = count - 1; // that has a frame
    while (last > 0 && !events[last].frame)
        last--;
    bool has_loss = false;
    for (size_t i = 0; i < count; i++) {
        enum counter reason = events[i].dropped;
        if (events[i].frame) {
            if (reason == COUNTER_IDS_DROPPED)
                counter_add(d->counters, reason, 1);
            deliver_event(d, c, events[i].frame, read_at_ns, i < last);
            continue;
        }
        delivery_drop(d, reason, channel, len);
        // Else the publisher broke a rule: it was no event, so no event is lost.
        has_loss |=
            reason == COUNTER_DROPPED_MEMORY || reason == COUNTER_DROPPED_TOO_LARGE || events[i].is_lost;
    }
    if (has_loss) // once: a worker asks for the tail with each
        delivery_gap(d, c);
}
