#include "gateway/bus/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"

// A sender of bad messages must not fill the log.
#define DROP_LOG_EVERY_MS 60000u

void delivery_drop(struct delivery *d, enum counter reason, const char *channel, size_t channel_len,
                   size_t len)
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
             len, (int)channel_len, channel, why[reason]);
}

static bool tell(struct delivery *d, size_t w, enum mail_kind kind, const struct interest *i,
                 const struct history_tail *tail)
{
    struct mail mail = {.kind = (uint16_t)kind,
                        .name = channel_name_create(i->entry.hash, i->name, i->entry.len)};
    if (mail.name) {
        mail.name->tail = *tail;
        mail.name->tail.subscribe_seq = d->subscribe_seq[w];
    }
    if (mail.name && mailbox_post(d->workers[w], &mail))
        return true;
    free(mail.name);
    log_error("delivery", "out of memory: worker %zu was not told about channel %.*s", w, (int)i->entry.len,
              i->name);
    return false;
}

// gap_told says that nothing of the channel got through since it was told.
static void tell_gap(struct delivery *d, struct interest *i, size_t w)
{
    uint64_t bit = UINT64_C(1) << w;
    if (!(i->gap_told & bit) && tell(d, w, MAIL_GAP, i, &(struct history_tail){0}))
        i->gap_told |= bit;
}

// A frame that worker `w` has no room for.
static void refuse(struct delivery *d, size_t w, struct frame *f)
{
    delivery_drop(d, COUNTER_DROPPED_BACKLOG, f->channel, f->channel_len, f->body_len);
    struct interest *i = d->find(d->find_ctx, f->channel_hash, f->channel, f->channel_len);
    if (i)
        tell_gap(d, i, w);
    frame_release(f);
}

static void outbox_flush(struct delivery *d, size_t w)
{
    struct outbox *o = &d->outboxes[w];
    // Behind the first that is refused nothing gets through: each channel's loss is told before its next
    // message.
    for (size_t i = mailbox_post_all(d->workers[w], o->mails, o->count); i < o->count; i++)
        refuse(d, w, o->mails[i].frame);
    o->count = 0;
}

void delivery_note_subscribe_seq(struct delivery *d, size_t w, uint64_t subscribe_seq)
{
    d->subscribe_seq[w] = subscribe_seq;
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

void delivery_confirm(struct delivery *d, size_t w, const struct interest *i, const struct history_tail *tail)
{
    outbox_flush(d, w);
    (void)tell(d, w, MAIL_CONFIRMED, i, tail); // a stream that is not told is refused when its time is over
}

void delivery_unconfirm_channel(struct delivery *d, size_t w, const struct interest *i)
{
    outbox_flush(d, w);
    (void)tell(d, w, MAIL_UNCONFIRMED, i, &(struct history_tail){0}); // it is told of the gap later on
}

void delivery_page(struct delivery *d, size_t w, const char *channel, size_t len,
                   const struct history_page *page)
{
    struct page_mail *p = malloc(sizeof *p + page->count * sizeof *p->frames);
    struct mail mail = {.kind = MAIL_PAGE, .page = p};
    if (!p) {
        for (size_t i = 0; i < page->count; i++)
            frame_release(page->frames[i]);
    } else {
        p->page = *page;
        p->page.frames = p->frames;
        if (page->count > 0) // else there may be no array
            memcpy(p->frames, page->frames, page->count * sizeof *p->frames);
        p->name = channel_name_create(map_hash(channel, len), channel, len);
        if (p->name && post(d, w, &mail))
            return;
        page_mail_free(p);
    }
    // The worker asks again when its patience is over.
    log_error("delivery", "out of memory: a page of %.*s did not reach worker %zu", (int)len, channel, w);
}

void delivery_gap(struct delivery *d, struct interest *i, size_t w)
{
    outbox_flush(d, w);
    tell_gap(d, i, w);
}

void delivery_resubscribed(struct delivery *d, struct interest *i, size_t w)
{
    outbox_flush(d, w);
    (void)tell(d, w, MAIL_RESUBSCRIBED, i, &(struct history_tail){0}); // confirmed it will be, at least
    i->gap_told &= ~(UINT64_C(1) << w); // what is lost from now on is another loss
}

void delivery_unconfirm(struct delivery *d)
{
    const struct mail mail = {.kind = MAIL_UNCONFIRMED};
    for (size_t w = 0; w < d->worker_count; w++)
        if (!post(d, w, &mail))
            log_error("delivery", "out of memory: worker %zu was not told that Redis is gone", w);
}

static void deliver(struct delivery *d, struct interest *i, struct frame *f)
{
    for (size_t w = 0; w < d->worker_count; w++) {
        uint64_t bit = UINT64_C(1) << w;
        if (!(i->workers & bit))
            continue;
        struct outbox *o = &d->outboxes[w];
        struct mail mail = {.kind = MAIL_FRAME, .frame = frame_retain(f)};
        if (!(i->gap_told & bit)) {
            o->mails[o->count++] = mail;
            if (o->count == OUTBOX_MAX)
                outbox_flush(d, w);
        } else if (post(d, w, &mail)) {
            i->gap_told &= ~bit;
        } else {
            refuse(d, w, f);
        }
    }
}

void delivery_message(struct delivery *d, struct interest *i, const char *payload, size_t len)
{
    enum counter reason = COUNTER_DROPPED_MEMORY;
    struct frame *f = message_frame(d->payload, channel_ref_of(&i->entry), payload, len, &reason);
    if (!f) {
        delivery_drop(d, reason, i->name, i->entry.len, len);
        return;
    }
    if (reason == COUNTER_IDS_DROPPED)
        counter_add(d->counters, reason, 1);
    deliver(d, i, f);
    frame_release(f);
}
