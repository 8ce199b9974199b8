// Which handshake of TLS goes on next: bytes that came for one are not read at once but in their turn, at the end of
// the turn of the loop. Handshakes cost hundreds of times what a request costs, in time and in memory, so each turn
// has time for a few only, and only so many are on their way; the others wait, the oldest first, as bytes in their
// sockets.
//
//      --bytes--> FRESH --place--> begun --more bytes--> ANSWERS --> begun .. --> done
//
// What has begun goes before what has not. One thread.
#pragma once

#include "gateway/client/conn.h"

void handshake_queue_init(struct handshake_queue *q);
// All that is ready in this turn of the loop has been added: handshakes have their time.
void handshake_queue_begin(struct client_context *cx);
// Bytes have come for `c`, in HANDSHAKE: its socket is not watched until handshake_queue_next gives it. Closes a
// connection whose address begins too many, or for which there is no memory.
void handshake_queue_add(struct conn *c);
// Whether `c` waits there: whoever wants it watched leaves that to handshake_queue_next.
bool handshake_queue_has(const struct conn *c);
// The connection whose bytes are read next; NULL where no more of them can be read in this turn. Closes those that have
// waited, or kept others waiting, for too long.
struct conn *handshake_queue_next(struct client_context *cx);
// `c` leaves HANDSHAKE.
void handshake_queue_leave(struct conn *c);
