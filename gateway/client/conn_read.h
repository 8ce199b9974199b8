// What clients send: request heads, and then nothing that is looked at.
#pragma once

#include "gateway/client/conn.h"

// The socket has something: reads once, and acts on it.
void conn_read(struct conn *c);
