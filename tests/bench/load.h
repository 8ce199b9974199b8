// What the parts of the load share: its streams (load_streams.c), what it publishes (load_publish.c), and the
// run that both belong to (load.c). One thread; whatever fails ends the process.
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "tests/bench/histogram.h"

// "#channel-sequence message time ": three numbers of fixed width, so that a message is recognized by its
// first bytes, which no server writes on its own. The time, in nanoseconds, is that just before it was
// written.
#define MARK "#0"
#define STAMP_FORMAT "#%010u %010u %020" PRIu64 " "
#define STAMP_LEN (1 + 10 + 1 + 10 + 1 + 20 + 1)
#define CARRY_MAX STAMP_LEN
#define READ_SIZE 65536

struct stream {
    int fd;
    SSL *tls;      // NULL: plain
    uint32_t next; // sequence number expected of its one channel
    uint8_t carry_len;
    char carry[CARRY_MAX];
};

struct load {
    uint32_t port, redis_port;
    const char *path, *post, *prefix, *token; // `token`: a bearer's, or NULL
    uint32_t tls;                             // streams come by TLS: 12 for TLS 1.2, 13 for the newest
    SSL_CTX *context;
    uint32_t stream_count, channel_count, channels_each, first, stride, sources;
    int epoll, redis;
    struct stream *streams;
    uint32_t *sent; // per channel
    struct buf out; // to Redis
    size_t out_sent;
    // of a run
    uint64_t expected, deliveries, duplicated, reordered, closed;
    uint64_t last_delivery_ns;
    uint32_t run_size;
    uint64_t *message_last; // when the last stream got a message; 0 while none has
    uint64_t *message_sent;
    struct histogram latency, last, late;
};

void load_die(const char *what);
int load_connect(uint32_t source, uint16_t port);

// Opens stream i and awaits its head. `load_request` does not await it; `more` is appended to the query.
void load_open_stream(struct load *l, uint32_t i);
void load_request(struct load *l, uint32_t i, const char *more);
// The channel that is number `k` of stream i.
uint32_t load_channel(const struct load *l, uint32_t i, uint32_t k);
// Reads what has come, after waiting for it for at most so long.
void load_turn(struct load *l, uint64_t wait_ns);

// Message number `message` goes to channel message % channel_count. `keep`: so many are kept as history; 0
// for a plain message. It waits for load_flush.
void load_publish(struct load *l, uint32_t message, uint32_t size, uint32_t keep);
void load_flush(struct load *l);
