// RESP2 bytes in, replies out, by hiredis' reader; with a bound on what it buffers. Pure: no sockets.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

struct redis_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions *functions;
    void *context;
    size_t max_bulk;
    size_t skip; // bytes of an oversized bulk string that are still to come
    const char *error;
};

enum redis_read {
    REDIS_READ_REPLY,   // a whole reply
    REDIS_READ_MORE,    // not whole yet
    REDIS_READ_SKIPPED, // a bulk string above the limit has been cut out; feed on
    REDIS_READ_ERROR,   // `error` says why; the stream cannot be read any further
};

// Ready for a new stream of bytes. `functions` build the replies, with `context` as privdata; NULL:
// redisReply objects, for the caller to free. Bulk strings above `max_bulk` are skipped, never buffered: with their
// reply or, in an array within an array, alone, and a nil takes the place. All zero is a reader that was not reset.
// False when out of memory.
bool redis_reader_reset(struct redis_reader *r, redisReplyObjectFunctions *functions, void *context,
                        size_t max_bulk);
void redis_reader_deinit(struct redis_reader *r);

// Takes bytes (copied), in pieces of 4 to 16 KiB: the reader moves what is left to the front. False:
// REDIS_READ_ERROR.
bool redis_reader_feed(struct redis_reader *r, const char *bytes, size_t len);
// The next reply of what was fed. `skipped` gets the length of a bulk string that was cut out.
enum redis_read redis_reader_next(struct redis_reader *r, void **reply, size_t *skipped);
