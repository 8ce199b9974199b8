// The names of subjects and tokens that may be revoked, for all threads: a stream whose names are not here needs no
// question to Redis. A name sets one bit of a table of fixed size, and stays until the table is loaded anew: one that
// is here, or shares its bit, is asked about, so that what Redis has alone decides when a revocation ends. Pure.
//
//      bus:     forget ----> begin (empties it) --> add, for each key --> complete
//                 ^-- the subscription was lost, or slots have moved: messages may be missing
//      workers: excludes
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct revocations;

// Knows nothing yet. NULL when out of memory.
struct revocations *revocations_create(void);
void revocations_destroy(struct revocations *r);

// By the bus' thread alone.
// Names may be missing from now on. `r` may be NULL.
void revocations_forget(struct revocations *r);
// As above, and empties it. Returns the number of this load, for revocations_complete.
uint64_t revocations_begin(struct revocations *r);
// `kind`: index of question.texts.
void revocations_add(struct revocations *r, unsigned kind, const char *name, size_t len);
// All keys were added by load `load`, after the subscription. No effect where revocations_forget was called since.
void revocations_complete(struct revocations *r, uint64_t load);
// Whether `load` is the latest, and nothing was forgotten since it began.
bool revocations_is_latest(const struct revocations *r, uint64_t load);

// Any thread.
// Whether no name is missing.
bool revocations_is_whole(const struct revocations *r);
// Whether it is sure that neither name is revoked: texts of a QUESTION_REVOKED, of which any may be NULL.
bool revocations_excludes(const struct revocations *r, const char *const *texts);
