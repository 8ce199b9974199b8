// The only way between threads: many may post, one loop receives. The receiver is woken only when its box was
// empty, takes all that is there at once, and works on it without the lock.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"
#include "gateway/fanout/hub.h"

// A channel's name on its way between threads, and what is said of it. Belongs to the mail; the receiver
// frees it.
struct channel_name {
    uint64_t hash;
    union {
        uint64_t subscribe_seq;     // MAIL_WANTED
        struct history_tail tail;   // MAIL_CONFIRMED
        struct history_query query; // MAIL_HISTORY
    };
    size_t len;
    char text[];
};

// A part of a channel's history on its way to a worker.
struct page_mail {
    struct channel_name *name;
    struct history_page page; // its frames are those below, one reference each
    struct frame *frames[];
};

// All else zero. NULL when out of memory.
struct channel_name *channel_name_create(uint64_t hash, const char *text, size_t len);

enum mail_kind {
    // bus -> worker
    MAIL_FRAME,        // a frame for a channel's streams
    MAIL_CONFIRMED,    // Redis confirmed the subscription of `name`
    MAIL_UNCONFIRMED,  // the subscription of `name` is gone; NULL: that of every channel
    MAIL_GAP,          // messages of `name` were lost on the way here
    MAIL_RESUBSCRIBED, // messages of `name` may have been lost: MAIL_CONFIRMED follows
    MAIL_PAGE,         // what MAIL_HISTORY asked for
    // worker -> bus
    MAIL_WANTED,   // first stream for `name` on worker `from`
    MAIL_UNWANTED, // last one left
    MAIL_HISTORY,  // a page of the history of `name` is wanted
    // main -> any
    MAIL_DRAIN,
    MAIL_STOP,
    // worker -> main
    MAIL_EMPTY, // worker `from` drains and has no connection left
};

struct mail {
    uint16_t kind; // enum mail_kind
    uint16_t from; // worker
    union {
        struct frame *frame;
        struct channel_name *name;
        struct page_mail *page;
    };
};

// Frees what nobody received.
void page_mail_free(struct page_mail *page);

struct mailbox;

#define WORKERS_MAX 63 // one bit each in a word of the bus, which needs one bit of its own

// Delivers to `on_mail` on `loop`'s thread, in the order of posting (per poster). The callee owns what the
// mail refers to. `last` is true for the last one of a batch. `frame_limit`: bytes of frames that may wait.
// NULL when out of memory.
struct mailbox *mailbox_create(struct ev_loop *loop, size_t frame_limit,
                               void (*on_mail)(void *ctx, const struct mail *mail, bool last), void *ctx);
// On the receiver's thread, or when it has ended. Frees what was not received.
void mailbox_destroy(struct mailbox *box);

// Any thread. False where a frame does not fit under the limit, or out of memory: what the mail refers to is
// still the caller's.
bool mailbox_post(struct mailbox *box, const struct mail *mail);
// Posts in order until one is refused as above; returns how many were taken. One lock and at most one wake-up
// for all.
size_t mailbox_post_all(struct mailbox *box, const struct mail *mails, size_t count);
