// RESP2 bytes in, replies out, by hiredis' reader; with bounds on all that a server announces or sends. Pure:
// no sockets.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

struct redis_limits {
    size_t
        bulk; // bytes of one bulk string; a larger one is skipped, never buffered: with its reply or, in an array within
    // an array, alone, and a nil takes its place
    size_t elements; // of all arrays of one reply
    size_t bytes;    // of all strings of one reply

    // What is kept of an array reply; 0: all. Strings are left out, as empty STATUS objects, in an element beyond
    // `kept_element` bytes of its own, and in all elements from the first one on before which there were `kept`
    // bytes. The first two elements are not cut for the others: so a page that begins with the last entry of the
    // page before it brings at least one new entry.
    size_t kept, kept_element;
};

struct redis_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions build; // the functions that build the replies
    redisReplyObjectFunctions check; // hiredis calls these: they check the bounds, then call `build`
    bool has_functions;              // `build` is the caller's
    void *context;
    struct redis_limits limits;
    // Of the reply that is being read, so far.
    size_t elements, bytes;
    size_t announced;          // `bytes`, and those of strings that were skipped
    size_t kept, kept_element; // bytes, of all elements and of the one that is being read
    int element;               // its index in the outermost array
    bool is_cut;               // it is left out
    size_t skip;               // bytes of an oversized bulk string that are still to come
    const char *error;
};

enum redis_read {
    REDIS_READ_REPLY,   // a whole reply
    REDIS_READ_MORE,    // not whole yet
    REDIS_READ_SKIPPED, // a bulk string above the limit has been cut out; feed on
    REDIS_READ_ERROR,   // `error` says why; the stream cannot be read any further
};

// Ready for a new stream of bytes. `functions` (read.h of hiredis) build the replies; NULL: redisReply
// objects, for the caller to free. A struct that is all zero was not reset; after the first reset it must
// stay where it is. False when out of memory.
bool redis_reader_reset(struct redis_reader *r, const redisReplyObjectFunctions *functions, void *context,
                        const struct redis_limits *limits);
void redis_reader_deinit(struct redis_reader *r);
// For `functions`: the `context` of the reset.
void *redis_reader_context(const redisReadTask *task);

// Takes bytes (copied), in pieces of 4 to 16 KiB: the reader moves what is left to the front. False:
// REDIS_READ_ERROR.
bool redis_reader_feed(struct redis_reader *r, const char *bytes, size_t len);
// The next reply of what was fed. `skipped` gets the length of a bulk string that was cut out.
enum redis_read redis_reader_next(struct redis_reader *r, void **reply, size_t *skipped);
