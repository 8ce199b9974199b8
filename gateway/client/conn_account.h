// What a connection did, for the lines of the log that tell of its end. Kept only where client_settings.accounts says
// so: behind the connection, in the same block, so that without it a connection takes no byte more. On its loop's
// thread.
#pragma once

#include "gateway/client/conn.h"

struct conn_account {
    struct peer_address client;   // of a stream: behind trusted proxies
    bool resumed;                 // the stream began behind a last event id
    uint64_t accepted_ms;         // monotonic
    uint64_t opened_ms, ended_ms; // of the stream: state STREAM was entered, and left
    uint64_t events;              // that the stream was given, gateway:gap among them
    uint64_t bytes;               // that the socket took, before TLS
};

// Bytes of the block of a connection.
size_t conn_block_size(const struct client_settings *settings, bool is_tls);
// NULL where none is kept.
struct conn_account *conn_account(const struct conn *c);

// The connection, which has one, goes to state `next`.
void conn_account_move(struct conn *c, enum conn_state next);

#define CONN_ID_TEXT 32
// Names the connection in log lines: the index of its loop, and its serial there.
void conn_id_print(const struct conn *c, char text[CONN_ID_TEXT]);
// The connection ends, and still has all that it had: a line at debug, and with --access-log one at info where it was
// an open stream.
void conn_log_end(const struct conn *c);
