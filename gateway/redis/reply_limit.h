// Bounds what is kept of one array reply: hiredis' own reply objects, but strings are left out, as empty
// STATUS objects, in an element beyond `element_max` bytes of its own, and in all elements from the first one
// on before which there were `max` bytes. The first two elements are not cut, so that a page that begins with
// the last entry of the page before it brings at least one new entry. Pure.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

struct reply_limit {
    redisReplyObjectFunctions functions; // for a reader whose context is this
    redisReplyObjectFunctions standard;
    size_t max, element_max;
    size_t bytes; // of the reply that is being read, with those left out
    size_t kept, element_kept;
    int element; // index of the element that is being read; -1: none yet
    bool cut;
};

// False when out of memory.
bool reply_limit_init(struct reply_limit *l, size_t max, size_t element_max);
// A string that the reader itself has left out.
void reply_limit_skipped(struct reply_limit *l, size_t len);
// The next reply begins.
void reply_limit_reset(struct reply_limit *l);
