// The protocol of questions between threads: a worker asks Redis by the bus on behalf of a connection, and the
// same block comes back with the answer, so that an answer needs no memory of its own. Values only; they travel
// in mails.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTION_TEXTS 2u

// Before the name of a lease that has ended for a newer one, in a message at REVOCATION_CHANNEL
// (common/revocation_names.h).
#define REVOCATION_REPLACED "replaced "

enum question_kind {
    // Since when tokens of the subject texts[0], and with the id texts[1], are refused: numbers[] are the Unix
    // times up to which such tokens were issued; 0: they are not refused.
    QUESTION_REVOKED,
    // Spends the ticket with the nonce texts[0], which Redis remembers for `seconds`: numbers[0] is 1 where it
    // was not spent before, else 0.
    QUESTION_SPEND,
    // Leases of the subject texts[0]; texts[1] names the one of this stream, for `seconds`. numbers[0], the number of
    // leases that there may be, becomes 1 where the stream has one now, else 0. LEASE: where all are taken there is
    // none, or with `replaces` the oldest one ends, and its gateway is told by the bus. RENEW makes a lease anew that
    // has expired; with `replaces` not where all are taken. RELEASE ends it. An answer to RENEW that nobody asked for
    // (walk 0) tells that the lease of `connection` has ended.
    QUESTION_LEASE,
    QUESTION_RENEW,
    QUESTION_RELEASE,
    // Publishes texts[1] at the channel texts[0]. Of the bus itself: no answer is told.
    QUESTION_PUBLISH,
};

struct question {
    uint64_t connection; // conn_id; 0: none, the bus tells what nobody asked
    uint8_t kind;        // enum question_kind
    // Without it the answer is not known: Redis is away, or denies the command, or too much is asked at once.
    bool is_answered;
    bool replaces; // LEASE, RENEW: the newest streams have the leases
    uint32_t walk; // for the worker: the number of its walk over open streams; 0: it is about an admission
    uint32_t seconds;
    int64_t numbers[QUESTION_TEXTS];
    const char *texts[QUESTION_TEXTS]; // in `room`; NULL: none
    char room[];
};

// Copies `from` with its texts into one block, which is freed by free(). NULL when out of memory.
struct question *question_create(const struct question *from);
