// The address of a client behind proxies, as X-Forwarded-For and Forwarded (RFC 7239) have it. Pure.
//
//      X-Forwarded-For: what the client sent, .., its address as proxy 1 saw it, proxy 1 as proxy 2 saw it
//
// Each proxy appends the address that it sees, so only the end of the list is true, as far as the proxies are
// trusted: from the right, trusted addresses are passed over, and the first other one is the client. What is no
// address ends the walk at the one to its right: behind it nothing is believed.
#pragma once

#include "gateway/client/http_text.h"
#include "gateway/client/peer_address.h"

// `socket`: what the gateway itself sees. `fields`: those of the request. Returns `socket` where it is not trusted,
// or no header names another address. Where both headers are there and do not agree, `socket` too: the proxy has
// written one of them, and the other may be all the client's.
struct peer_address forwarded_client(const struct peer_ranges *trusted, const struct peer_address *socket,
                                     struct http_text fields);
