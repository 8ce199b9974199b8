// The protocol of questions between threads: a worker asks Redis by the bus on behalf of a connection, and the
// same block comes back with the answer, so that an answer needs no memory of its own. Values only; they travel
// in mails.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTION_TEXTS 2u

enum question_kind {
    // Since when tokens of the subject texts[0], and with the id texts[1], are refused: numbers[] are the Unix
    // times up to which such tokens were issued; 0: they are not refused.
    QUESTION_REVOKED,
    // Spends the ticket with the nonce texts[0], which Redis remembers for `seconds`: numbers[0] is 1 where it
    // was not spent before, else 0.
    QUESTION_SPEND,
};

struct question {
    uint64_t connection; // conn_id; 0: none, the bus tells what nobody asked
    uint8_t kind;        // enum question_kind
    // Without it the answer is not known: Redis is away, or denies the command, or too much is asked at once.
    bool is_answered;
    uint32_t
        recheck; // for the worker: the number of the recheck of open streams; 0: it is about an admission
    uint32_t seconds;
    int64_t numbers[QUESTION_TEXTS];
    const char *texts[QUESTION_TEXTS]; // in `room`; NULL: none
    char room[];
};

// Copies `from` with its texts into one block, which is freed by free(). NULL when out of memory.
struct question *question_create(const struct question *from);
