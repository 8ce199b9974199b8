#include "gateway/fanout/revocations.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "gateway/fanout/question.h"

// With 100,000 names one stream in 42 is asked about without need. A table without names takes no memory.
#define BITS (UINT64_C(1) << 22)
#define WORD_BITS 64u

// The order of all of these counts: a reader that finds the same `load` before and after it has read a bit has not
// read one that was emptied meanwhile.
struct revocations {
    _Atomic uint64_t load;  // changes with every loss
    _Atomic uint64_t whole; // the load that was completed
    _Atomic uint64_t words[BITS / WORD_BITS];
};

struct revocations *revocations_create(void)
{
    struct revocations *r = calloc(1, sizeof *r);
    if (r)
        r->load = 1;
    return r;
}

void revocations_destroy(struct revocations *r)
{
    free(r);
}

void revocations_forget(struct revocations *r)
{
    if (r)
        r->load++;
}

uint64_t revocations_begin(struct revocations *r)
{
    r->load++;
    for (size_t i = 0; i < BITS / WORD_BITS; i++)
        if (r->words[i] != 0) // a page that was never written to stays so
            r->words[i] = 0;
    return r->load;
}

static uint64_t bit_of(unsigned kind, const char *name, size_t len)
{
    return (map_hash(name, len) + kind) & (BITS - 1);
}

void revocations_add(struct revocations *r, unsigned kind, const char *name, size_t len)
{
    assert(kind < QUESTION_TEXTS);
    uint64_t bit = bit_of(kind, name, len);
    r->words[bit / WORD_BITS] |= UINT64_C(1) << bit % WORD_BITS;
}

bool revocations_is_latest(const struct revocations *r, uint64_t load)
{
    return r->load == load;
}

void revocations_complete(struct revocations *r, uint64_t load)
{
    if (revocations_is_latest(r, load))
        r->whole = load;
}

bool revocations_is_whole(const struct revocations *r)
{
    return r->whole == r->load;
}

bool revocations_excludes(const struct revocations *r, const char *const *texts)
{
    uint64_t load = atomic_load(&r->load);
    bool found = r->whole != load;
    for (unsigned i = 0; i < QUESTION_TEXTS && !found; i++) {
        uint64_t bit = texts[i] ? bit_of(i, texts[i], strlen(texts[i])) : 0;
        found = texts[i] && (r->words[bit / WORD_BITS] >> bit % WORD_BITS & 1);
    }
    return !found && atomic_load(&r->load) == load;
}
