// How many connections the whole process may hold: streams, and those that have none. Shared by all workers;
// touched when a connection comes or goes and when a stream begins or ends.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limits {
    _Atomic uint64_t streams, streamless, handshakes;
    uint64_t max_streams;
    uint64_t max_sockets; // of both; more than max_streams
};

// Takes a place for one more stream; false where all are taken. Any thread.
bool limits_enter(struct limits *l);
// Gives the place back.
void limits_leave(struct limits *l);
// True where no place for a stream is left.
bool limits_full(const struct limits *l);

// A connection without a stream comes, or goes. It is always accepted: where limits_crowded() is true then,
// the caller closes connections without a stream.
void limits_enter_streamless(struct limits *l);
void limits_leave_streamless(struct limits *l);
bool limits_crowded(const struct limits *l);

// A handshake of TLS begins, or is over. False where as many are on their way as may be: a sixteenth of max_sockets,
// and at least 32. OpenSSL takes up to 75 KB for each. Any thread.
bool limits_enter_handshake(struct limits *l);
void limits_leave_handshake(struct limits *l);
bool limits_handshakes_full(const struct limits *l);
