// How fast new streams may come from one address: a token bucket for each, in a table of a fixed size. Any thread.
//
// A bucket that is full again is that of an address that was never seen, so its slot is free. Where all slots in which
// an address may stand are taken by others, the one that is fullest gives way: that address has its whole burst again
// when it comes back. So a flood from very many addresses weakens the cap (--max-connections and
// --max-connections-per-ip hold nevertheless); it never locks anybody out, and takes no more memory.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CONNECT_RATE_MAX 1000000u

struct connect_rate;

// `per_second` streams (1 to CONNECT_RATE_MAX), and `burst` (at least 1) at once after a pause. NULL when out of
// memory.
struct connect_rate *connect_rate_create(uint32_t per_second, uint32_t burst);
// For handshakes of TLS where streams have that rate: four times as much, so that a stream that comes too fast is told
// so, and only what is no more than handshakes is let go without a word.
struct connect_rate *connect_rate_for_handshakes(uint32_t per_second, uint32_t burst);
void connect_rate_destroy(struct connect_rate *r); // may be NULL
// Takes a token of `key` (peer_address_key, not 0). False where it has none left. `now_ms`: monotonic.
bool connect_rate_take(struct connect_rate *r, uint64_t key, uint64_t now_ms);
