// The state of a connection before its PROXY header has come (--proxy-protocol). On its loop's thread.
#pragma once

#include "gateway/client/conn.h"

// The connection, in CONN_PROXY, was just accepted: closes it where its proxy is none that is trusted.
void conn_proxy_begin(struct conn *c);
// Reads the header, and not a byte more: what follows may be TLS. Leaves CONN_PROXY once it is whole.
void conn_proxy_read(struct conn *c);
// The header did not come in time.
void conn_proxy_timeout(struct conn *c);
