// The only way between threads: many may post, one loop receives. The receiver is woken only when it waits,
// takes all that is there at once, and works on it without the lock. Where bus and worker share one loop, the
// mails between them need neither lock nor wake-up: that is a local box, and all else is the same.
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/channel_ref.h"
#include "gateway/fanout/frame.h"
#include "gateway/fanout/history_page.h"
#include "gateway/fanout/question.h"

// How a worker delivered a traced event.
struct trace_report {
    uint64_t streams;   // that it was handed to
    uint64_t took_us;   // from the read of its message from Redis to the last write
    int64_t read_at_us; // Unix time of that read
    uint16_t workers;   // that deliver the event, and report
};

// The channel that a mail is about, with the values that its kind of mail carries. Owned by the mail, then by
// the receiver, which frees it.
struct channel_mail {
    // For a receiver that keeps it in a list: the link, and `kind` and `from` of the mail.
    TAILQ_ENTRY(channel_mail) in_retry;
    uint16_t kind, from;
    uint64_t hash;
    union {
        uint64_t subscribe_seq;     // MAIL_WANTED
        struct history_tail tail;   // MAIL_CONFIRMED
        struct history_query query; // MAIL_HISTORY
        struct trace_report traced; // MAIL_TRACED
    };
    size_t len;
    char name[];
};

// A part of a channel's history on its way to a worker.
struct page_mail {
    struct channel_mail *channel;
    struct history_page page; // its frames are those below, one reference each
    struct frame *frames[];
};

// Everything but the name and its hash is zero. NULL when out of memory.
struct channel_mail *channel_mail_create(struct channel_ref ref);
// Borrows the mail's name.
struct channel_ref channel_mail_ref(const struct channel_mail *m);
void page_mail_free(struct page_mail *page);

// X(kind, type of its payload); the payload of a mail that was never received is freed with the mailbox.
#define MAIL_KINDS(X)                                                                                        \
    /* bus -> worker */                                                                                      \
    X(FRAME, FRAME)          /* a frame for a channel's streams */                                           \
    X(CONFIRMED, CHANNEL)    /* Redis confirmed the subscription */                                          \
    X(UNCONFIRMED, CHANNEL)  /* the subscription is gone; NULL: that of every channel */                     \
    X(GAP, CHANNEL)          /* messages of the channel were lost on the way here */                         \
    X(RESUBSCRIBED, CHANNEL) /* messages of the channel may have been lost: CONFIRMED follows */             \
    X(PAGE, PAGE)            /* what HISTORY asked for */                                                    \
    X(PAGE_LOST, NOTHING)    /* the page with that number was lost on the way here, for want of memory */    \
    X(ANSWER, QUESTION)      /* to ASK; or a revocation, which nobody asked about */                         \
    X(RECHECK, NOTHING)      /* revocations were lost on the way here: ask about every stream */             \
    /* worker -> bus */                                                                                      \
    X(WANTED, CHANNEL)   /* the channel's first stream on worker `from` */                                   \
    X(UNWANTED, CHANNEL) /* its last stream left */                                                          \
    X(HISTORY, CHANNEL)  /* a page of the channel's history is wanted */                                     \
    X(TRACED, CHANNEL)   /* a traced event was delivered; the channel is that for reports */                 \
    X(ASK, QUESTION)     /* a question to Redis; ANSWER follows */                                           \
    /* main -> any */                                                                                        \
    X(DRAIN, NOTHING)                                                                                        \
    X(STOP, NOTHING)                                                                                         \
    /* any -> worker */                                                                                      \
    X(END, NOTHING)      /* the stream of connection `conn` is to end for `reason` */                        \
    X(END_SOME, NOTHING) /* any streams are to end for `reason`, up to `some.count` */                       \
    /* worker -> main */                                                                                     \
    X(EMPTY, NOTHING) /* worker `from` drains and has no connection left */

enum mail_kind {
#define X(kind, payload) MAIL_##kind,
    MAIL_KINDS(X)
#undef X
        MAIL_KIND_COUNT
};

struct mail {
    uint16_t kind;    // enum mail_kind
    uint16_t from;    // worker
    uint16_t reason;  // END, END_SOME: enum close_reason
    bool is_followed; // FRAME: the next mail has a frame of the same message
    union {
        struct frame *frame;
        struct channel_mail *channel;
        struct page_mail *page;
        struct question *question;
        uint32_t number;   // PAGE_LOST: of the history_query; 0: of any
        uint64_t conn;     // END: its conn_id
        uint64_t begin_ms; // DRAIN: when streams begin to end, in monotonic milliseconds
        struct {
            uint32_t count, min_age_ms; // none that was opened less than that ago
        } some;                         // END_SOME
    };
};

struct mailbox;

#define WORKERS_MAX 63 // one bit each in a word of the bus, which needs one bit of its own

struct mailbox_hooks {
    // In the order of posting (per poster). The callee owns what the mail refers to. `more`: others are to
    // follow in this batch, unless its time is over.
    void (*on_mail)(void *ctx, const struct mail *mail, bool more);
    // The batch began at `begun_ns`, monotonic. May be NULL.
    void (*on_batch_end)(void *ctx, uint64_t begun_ns);
    void *ctx;
};

// Delivers on `loop`'s thread. `frame_limit`: bytes of frames that may wait. NULL when out of memory. `local`:
// posters run on `loop`'s thread, too. Mails are delivered before the loop waits again then, never from within
// mailbox_post; when a batch has taken long, the loop looks at its sockets in between.
struct mailbox *mailbox_create(struct ev_loop *loop, bool local, size_t frame_limit,
                               const struct mailbox_hooks *hooks);
// On the receiver's thread, or when it has ended. Frees what was not received. `box` may be NULL.
void mailbox_destroy(struct mailbox *box);

// Any thread (of a local box: the loop's). False where a frame does not fit under the limit, or out of
// memory: what the mail refers to is still the caller's.
bool mailbox_post(struct mailbox *box, const struct mail *mail);
// Posts MAIL_STOP to the thread that receives here, and waits until it has ended.
void mailbox_stop_thread(struct mailbox *box, pthread_t thread);
// Whether a frame of `bytes` would be let in now; only its poster makes the answer wrong. Any thread, as
// mailbox_post.
bool mailbox_has_room(struct mailbox *box, size_t bytes);
// Posts in order until one is refused as above; returns how many were taken. One lock and at most one wake-up
// for all.
size_t mailbox_post_all(struct mailbox *box, const struct mail *mails, size_t count);
