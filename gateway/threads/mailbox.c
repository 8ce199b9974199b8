#include "gateway/threads/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define INITIAL_CAPACITY 64u
// An array that a burst has blown up is given back once it is empty again.
#define KEEP_CAPACITY 16384u
#define MAILS_PER_TURN 256u
#define WANTED_MAX 65536u

struct mail_array {
    struct mail *mails;
    size_t count, capacity;
};

struct mailbox {
    struct ev_loop *loop;
    ev_async wake;
    void (*on_mail)(void *ctx, const struct mail *mail, bool last);
    void *ctx;
    size_t frame_limit;

    pthread_mutex_t lock; // guards what follows
    struct mail_array in;
    size_t frame_bytes;

    struct mail_array out; // the receiver's alone: swapped with `in`
    size_t next;           // of `out`
};

struct channel_name *channel_name_create(uint64_t hash, const char *text, size_t len)
{
    struct channel_name *n = malloc(sizeof *n + len);
    if (!n)
        return NULL;
    *n = (struct channel_name){.hash = hash, .len = len};
    memcpy(n->text, text, len);
    return n;
}

void page_mail_free(struct page_mail *page)
{
    for (size_t i = 0; i < page->page.count; i++)
        frame_release(page->frames[i]);
    free(page->name);
    free(page);
}

static bool mail_has_name(const struct mail *m)
{
    return m->kind == MAIL_CONFIRMED || m->kind == MAIL_GAP || m->kind == MAIL_RESUBSCRIBED ||
           m->kind == MAIL_WANTED || m->kind == MAIL_UNWANTED || m->kind == MAIL_HISTORY ||
           m->kind == MAIL_UNCONFIRMED;
}

static void mails_release(const struct mail_array *a, size_t from)
{
    for (size_t i = from; i < a->count; i++) {
        if (a->mails[i].kind == MAIL_FRAME)
            frame_release(a->mails[i].frame);
        else if (a->mails[i].kind == MAIL_PAGE)
            page_mail_free(a->mails[i].page);
        else if (mail_has_name(&a->mails[i]))
            free(a->mails[i].name);
    }
}

// Takes what is there, once what was taken before is worked off.
static void mailbox_take(struct mailbox *box)
{
    struct mail_array empty = box->out;
    if (empty.capacity > KEEP_CAPACITY) {
        free(empty.mails);
        empty = (struct mail_array){0};
    }
    empty.count = 0;
    pthread_mutex_lock(&box->lock);
    box->out = box->in;
    box->in = empty;
    box->frame_bytes = 0;
    pthread_mutex_unlock(&box->lock);
    box->next = 0;
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)events;
    struct mailbox *box = w->data;
    bool took = box->next == box->out.count;
    if (took)
        mailbox_take(box);
    // Not all at once: sockets that have room again and clients at the door wait for their turn of the loop.
    size_t end = box->out.count - box->next > MAILS_PER_TURN ? box->next + MAILS_PER_TURN : box->out.count;
    while (box->next < end) {
        const struct mail *mail = &box->out.mails[box->next++];
        box->on_mail(box->ctx, mail, box->next == end);
    }
    // By way of the loop's next round. Who posts wakes an empty box only, so what came while this batch was
    // worked on is ours to see.
    if (box->next < box->out.count || !took)
        ev_async_send(loop, w);
}

struct mailbox *mailbox_create(struct ev_loop *loop, size_t frame_limit,
                               void (*on_mail)(void *ctx, const struct mail *mail, bool last), void *ctx)
{
    struct mailbox *box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    box->loop = loop;
    box->frame_limit = frame_limit;
    box->on_mail = on_mail;
    box->ctx = ctx;
    if (pthread_mutex_init(&box->lock, NULL) != 0) {
        free(box);
        return NULL;
    }
    ev_async_init(&box->wake, on_wake);
    box->wake.data = box;
    ev_async_start(loop, &box->wake);
    return box;
}

void mailbox_destroy(struct mailbox *box)
{
    if (!box)
        return;
    ev_async_stop(box->loop, &box->wake);
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

// Under the lock.
static bool mail_accept(struct mailbox *box, const struct mail *mail)
{
    size_t bytes = mail->kind == MAIL_FRAME ? mail->frame->wire_len : 0;
    // A single frame larger than the limit may pass an empty box.
    if (bytes > 0 && box->frame_bytes > 0 && box->frame_bytes + bytes > box->frame_limit)
        return false;
    // A storm of streams with new channels is refused at the door before it piles up here.
    if (mail->kind == MAIL_WANTED && box->in.count >= WANTED_MAX)
        return false;
    if (!mail_append(&box->in, mail))
        return false;
    box->frame_bytes += bytes;
    return true;
}

size_t mailbox_post_all(struct mailbox *box, const struct mail *mails, size_t count)
{
    size_t taken = 0;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->in.count == 0;
    while (taken < count && mail_accept(box, &mails[taken]))
        taken++;
    pthread_mutex_unlock(&box->lock);
    if (taken > 0 && was_empty)
        ev_async_send(box->loop, &box->wake);
    return taken;
}

bool mailbox_post(struct mailbox *box, const struct mail *mail)
{
    return mailbox_post_all(box, mail, 1) == 1;
}
