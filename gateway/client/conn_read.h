// Reads the bytes of clients: request heads; all later bytes are thrown away.
#pragma once

#include "gateway/client/conn.h"

// The socket has something: reads once, and acts on it.
void conn_read(struct conn *c);
