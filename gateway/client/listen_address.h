// Addresses to listen at: checked with the options, and bound on the main thread before others start, so that a port in
// use is one clear error. What listens then is handed to a listener each (listener.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LISTEN_MAX 16 // addresses per gateway

struct listen_address {
    const char *text; // as given and checked; borrowed
    char bound[300];  // what was bound, for the log: `text`, with the port that was taken
};

// True where `address` is "ADDR:PORT", "[V6]:PORT" (numbers) or "unix:PATH"; else the rest of a sentence `"x" ...` in
// `error`.
bool listen_address_check(const char *address, char *error, size_t error_size);

// Binds `a->text` and listens, once for each of `count` loops, into fds[count]. TCP: one socket a loop with SO_REUSEPORT,
// so the kernel spreads connections; unix: one socket, duplicated. Port 0 takes a free one. On failure nothing stays open,
// false, and one line in `error`.
bool listen_address_bind(struct listen_address *a, size_t count, int *fds, char *error, size_t error_size);
