// Addresses of a host, with a bound on the time that the look-up takes: getaddrinfo itself has no such bound.
#pragma once

#include "publisher-cli/failure.h"

#include <netdb.h>
#include <stdint.h>

// The addresses for a stream socket; the caller frees them with freeaddrinfo. `host` is a name or an address.
// NULL, with the reason alone in `failure`, on failure. A look-up that takes longer than `timeout_ms` goes on
// in a thread of its own, which cleans up after itself.
struct addrinfo *resolve(const char *host, unsigned short port, uint64_t timeout_ms, struct failure *failure);
