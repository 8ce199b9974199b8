// Reads the bytes of clients: request heads; all later bytes are thrown away.
#pragma once

#include "gateway/client/conn.h"

// The socket has something: reads once, and acts on it; but a handshake of TLS waits for its turn.
void conn_read(struct conn *c);
// The end of a turn: reads for handshakes, as many as there is time for.
void conn_read_handshakes(struct client_context *cx);
