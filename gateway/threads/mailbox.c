#include "gateway/threads/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define INITIAL_CAPACITY 64u
// An array that grew above this in a burst is freed once it is empty again.
#define KEEP_CAPACITY 16384u
// Bounds on one turn, so that sockets with room again and new connections get theirs. The time is looked at
// where the receiver's loop is the one that drains Redis, too.
#define MAILS_PER_TURN 256u
#define LOCAL_NS_PER_TURN 5000000u
#define WANTED_MAX 65536u
// A wake-up may be lost, and the eventfd may find no memory to be watched: the receiver looks by itself, too.
#define LOOK_EVERY_S 1.0

struct mail_array {
    struct mail *mails;
    size_t count, capacity;
};

struct mailbox {
    struct ev_loop *loop;
    struct mailbox_hooks hooks;
    size_t frame_limit;
    bool local;
    // Not libev's ev_async, which would not report that its descriptor cannot be watched, or that its write
    // failed.
    int event_fd;  // -1 in a local box
    ev_io wake;    // in a local box fed by mailbox_post
    ev_idle again; // there is more than the last turn had time for
    ev_prepare before_wait;
    ev_check after_wait;
    ev_timer look;
    _Atomic bool is_asleep; // the receiver waits, or is about to: a poster must write to event_fd

    pthread_mutex_t lock; // guards what follows, except in a local box
    struct mail_array in;
    size_t frame_bytes; // posted, and not handed over yet

    struct mail_array out; // the receiver's alone: swapped with `in`
    size_t next;           // of `out`
    size_t handed_over;    // bytes of frames of this turn, still part of frame_bytes
    bool is_working;       // mails are being handed over
};

enum mail_payload {
    MAIL_CARRIES_NOTHING,
    MAIL_CARRIES_FRAME,
    MAIL_CARRIES_CHANNEL,
    MAIL_CARRIES_PAGE,
    MAIL_CARRIES_QUESTION
};

static enum mail_payload mail_payload(const struct mail *m)
{
    static const uint8_t payloads[MAIL_KIND_COUNT] = {
#define X(kind, payload) [MAIL_##kind] = MAIL_CARRIES_##payload,
        MAIL_KINDS(X)
#undef X
    };
    assert(m->kind < MAIL_KIND_COUNT);
    return (enum mail_payload)payloads[m->kind];
}

struct channel_mail *channel_mail_create(struct channel_ref ref)
{
    struct channel_mail *m = malloc(sizeof *m + ref.len);
    if (!m)
        return NULL;
    *m = (struct channel_mail){.hash = ref.hash, .len = ref.len};
    memcpy(m->name, ref.name, ref.len);
    return m;
}

struct channel_ref channel_mail_ref(const struct channel_mail *m)
{
    return (struct channel_ref){.name = m->name, .len = m->len, .hash = m->hash};
}

void page_mail_free(struct page_mail *page)
{
    for (size_t i = 0; i < page->page.count; i++)
        frame_release(page->frames[i]);
    free(page->channel);
    free(page);
}

static void mails_release(const struct mail_array *a, size_t from)
{
    for (size_t i = from; i < a->count; i++) {
        switch (mail_payload(&a->mails[i])) {
        case MAIL_CARRIES_FRAME:
            frame_release(a->mails[i].frame);
            break;
        case MAIL_CARRIES_CHANNEL:
            free(a->mails[i].channel);
            break;
        case MAIL_CARRIES_PAGE:
            page_mail_free(a->mails[i].page);
            break;
        case MAIL_CARRIES_QUESTION:
            free(a->mails[i].question);
            break;
        case MAIL_CARRIES_NOTHING:
            break;
        }
    }
}

static void box_lock(struct mailbox *box)
{
    if (!box->local)
        pthread_mutex_lock(&box->lock);
}

static void box_unlock(struct mailbox *box)
{
    if (!box->local)
        pthread_mutex_unlock(&box->lock);
}

// Swaps `in` and `out`, once all mails of `out` have been handed over.
static void mailbox_take(struct mailbox *box)
{
    struct mail_array empty = box->out;
    if (empty.capacity > KEEP_CAPACITY) {
        free(empty.mails);
        empty = (struct mail_array){0};
    }
    empty.count = 0;
    box_lock(box);
    box->out = box->in;
    box->in = empty;
    box_unlock(box);
    box->next = 0;
}

static void frames_handed_over(struct mailbox *box)
{
    box_lock(box);
    box->frame_bytes -= box->handed_over;
    box_unlock(box);
    box->handed_over = 0;
}

static void hand_over(struct mailbox *box, bool more)
{
    const struct mail mail = box->out.mails[box->next++];
    if (mail_payload(&mail) == MAIL_CARRIES_FRAME)
        box->handed_over += mail.frame->wire_len;
    box->hooks.on_mail(box->hooks.ctx, &mail, more);
}

static void work_off_batch(struct mailbox *box)
{
    size_t waiting = box->out.count - box->next;
    size_t end = box->next + (waiting > MAILS_PER_TURN ? MAILS_PER_TURN : waiting);
    // All frames of a message in one turn: each stream gets them in one write.
    while (end < box->out.count && box->out.mails[end - 1].is_followed)
        end++;
    uint64_t begun_ns = clock_monotonic_ns(), until_ns = begun_ns + LOCAL_NS_PER_TURN;
    while (box->next < end) {
        hand_over(box, box->next + 1 < end);
        if (box->local && box->next < end && !box->out.mails[box->next - 1].is_followed &&
            clock_monotonic_ns() > until_ns)
            break;
    }
    if (box->hooks.on_batch_end)
        box->hooks.on_batch_end(box->hooks.ctx, begun_ns);
    if (box->handed_over > 0)
        frames_handed_over(box);
}

static bool has_mail(struct mailbox *box)
{
    box_lock(box);
    bool waiting = box->in.count > 0;
    box_unlock(box);
    return waiting || box->next < box->out.count;
}

static void work_off(struct mailbox *box)
{
    if (box->next == box->out.count)
        mailbox_take(box);
    box->is_working = true;
    if (box->next < box->out.count)
        work_off_batch(box);
    box->is_working = false;
    // The mails that are left, and those that came meanwhile, are handled in the loop's next round.
    if (has_mail(box))
        ev_idle_start(box->loop, &box->again);
    else
        ev_idle_stop(box->loop, &box->again);
}

static void on_wake(struct ev_loop *loop, ev_io *w, int events)
{
    struct mailbox *box = w->data;
    uint64_t count;
    if (events & EV_ERROR) // libev has stopped the watcher: on_look starts it again
        log_error("mailbox", "the kernel has no memory to watch the wake-ups of a thread, which looks for "
                             "its mail once a second until it has");
    else if ((events & EV_READ) && read(box->event_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        ev_io_stop(loop, w); // as above: it would be ready for ever
    work_off(box);
}

static void on_again(struct ev_loop *loop, ev_idle *w, int events)
{
    (void)loop, (void)events;
    work_off(w->data);
}

// A thread that posts after this look at the box sees is_asleep, and writes to event_fd.
static void on_before_wait(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)events;
    struct mailbox *box = w->data;
    atomic_store(&box->is_asleep, true);
    if (!has_mail(box))
        return;
    atomic_store(&box->is_asleep, false);
    ev_idle_start(loop, &box->again);
}

static void on_after_wait(struct ev_loop *loop, ev_check *w, int events)
{
    (void)loop, (void)events;
    struct mailbox *box = w->data;
    atomic_store(&box->is_asleep, false);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct mailbox *box = w->data;
    if (!box->local)
        ev_io_start(loop, &box->wake);
    if (has_mail(box))
        ev_feed_event(loop, &box->wake, EV_CUSTOM);
}

static void start_watchers(struct mailbox *box)
{
    ev_io_init(&box->wake, on_wake, box->event_fd, EV_READ);
    ev_idle_init(&box->again, on_again);
    ev_prepare_init(&box->before_wait, on_before_wait);
    ev_check_init(&box->after_wait, on_after_wait);
    ev_timer_init(&box->look, on_look, LOOK_EVERY_S, LOOK_EVERY_S);
    // Idle watchers of the usual priority starve where sockets are always ready.
    ev_set_priority(&box->again, EV_MAXPRI);
    ev_set_priority(&box->after_wait, EV_MAXPRI);
    ev_set_priority(&box->before_wait, EV_MINPRI);
    box->wake.data = box->again.data = box->before_wait.data = box->after_wait.data = box->look.data = box;
    ev_timer_start(box->loop, &box->look);
    if (box->local)
        return;
    ev_io_start(box->loop, &box->wake);
    ev_prepare_start(box->loop, &box->before_wait);
    ev_check_start(box->loop, &box->after_wait);
}

struct mailbox *mailbox_create(struct ev_loop *loop, bool local, size_t frame_limit,
                               const struct mailbox_hooks *hooks)
{
    struct mailbox *box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    box->loop = loop;
    box->frame_limit = frame_limit;
    box->hooks = *hooks;
    box->local = local;
    box->event_fd = local ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if ((!local && box->event_fd < 0) || pthread_mutex_init(&box->lock, NULL) != 0) {
        if (box->event_fd >= 0)
            (void)close(box->event_fd);
        free(box);
        return NULL;
    }
    start_watchers(box);
    return box;
}

void mailbox_destroy(struct mailbox *box)
{
    if (!box)
        return;
    ev_io_stop(box->loop, &box->wake); // takes back a wake-up that is pending, of a local box, too
    ev_idle_stop(box->loop, &box->again);
    ev_prepare_stop(box->loop, &box->before_wait);
    ev_check_stop(box->loop, &box->after_wait);
    ev_timer_stop(box->loop, &box->look);
    if (box->event_fd >= 0)
        (void)close(box->event_fd);
    mails_release(&box->out, box->next);
    mails_release(&box->in, 0);
    free(box->in.mails);
    free(box->out.mails);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

static bool mail_append(struct mail_array *a, const struct mail *mail)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? a->capacity * 2 : INITIAL_CAPACITY;
        struct mail *mails = realloc(a->mails, capacity * sizeof *mails);
        if (!mails)
            return false;
        a->mails = mails;
        a->capacity = capacity;
    }
    a->mails[a->count++] = *mail;
    return true;
}

// A single frame larger than the limit may pass an empty box. Under the lock.
static bool has_room(const struct mailbox *box, size_t bytes)
{
    return bytes == 0 || box->frame_bytes == 0 || box->frame_bytes + bytes <= box->frame_limit;
}

bool mailbox_has_room(struct mailbox *box, size_t bytes)
{
    box_lock(box);
    bool room = has_room(box, bytes);
    box_unlock(box);
    return room;
}

// Under the lock.
static bool mail_accept(struct mailbox *box, const struct mail *mail)
{
    size_t bytes = mail->kind == MAIL_FRAME ? mail->frame->wire_len : 0;
    if (!has_room(box, bytes))
        return false;
    // In a storm of new streams, those beyond WANTED_MAX are refused, so that the array stays bounded.
    if ((mail->kind == MAIL_WANTED || mail->kind == MAIL_ASK) && box->in.count >= WANTED_MAX)
        return false;
    if (!mail_append(&box->in, mail))
        return false;
    box->frame_bytes += bytes;
    return true;
}

// Mails that wait in a local box already are seen to by `again`, which leaves the loop time for its sockets.
// So are those that come while others are handed over: a fan-out reads Redis meanwhile, and its messages
// would follow without end.
static void wake(struct mailbox *box, bool was_empty)
{
    static const uint64_t one = 1;
    if (box->local && was_empty && !box->is_working)
        ev_feed_event(box->loop, &box->wake, EV_CUSTOM); // is handled before the loop waits
    else if (!box->local && atomic_exchange(&box->is_asleep, false) &&
             write(box->event_fd, &one, sizeof one) < 0)
        atomic_store(&box->is_asleep, true); // the next post tries again, or on_look finds the mail
}

size_t mailbox_post_all(struct mailbox *box, const struct mail *mails, size_t count)
{
    size_t taken = 0;
    box_lock(box);
    bool was_empty = box->in.count == 0;
    while (taken < count && mail_accept(box, &mails[taken]))
        taken++;
    box_unlock(box);
    if (taken > 0)
        wake(box, was_empty);
    return taken;
}

bool mailbox_post(struct mailbox *box, const struct mail *mail)
{
    return mailbox_post_all(box, mail, 1) == 1;
}

void mailbox_stop_thread(struct mailbox *box, pthread_t thread)
{
    const struct mail stop = {.kind = MAIL_STOP};
    const struct timespec moment = {.tv_nsec = 1000000};
    // Out of memory passes: the receiver empties its box.
    while (!mailbox_post(box, &stop))
        (void)nanosleep(&moment, NULL);
    (void)pthread_join(thread, NULL);
}
