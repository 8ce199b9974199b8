// Addresses of clients and proxies as bytes, and ranges of them (CIDR). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ADDRESS_NONE: not known. ADDRESS_UNIX: the other end of a unix socket, which has no address.
enum address_family { ADDRESS_NONE, ADDRESS_UNIX, ADDRESS_V4, ADDRESS_V6 };

// An IPv4-mapped IPv6 address (::ffff:10.0.0.1) is the IPv4 address, wherever it comes from.
struct peer_address {
    uint8_t family;    // enum address_family
    uint8_t bytes[16]; // in network order; of IPv4 the first four, the rest is zero
};

struct peer_range {
    struct peer_address base;
    uint8_t bits; // of the prefix
};

// A list of ranges, borrowed.
struct peer_ranges {
    const struct peer_range *items;
    size_t count;
};

struct sockaddr;

struct peer_address peer_address_v4(const void *four_bytes);
struct peer_address peer_address_v6(const void *sixteen_bytes);
struct peer_address peer_address_of_socket(const struct sockaddr *address);
// A bare address: no port, no brackets, no zone. False where it is none.
bool peer_address_parse(struct peer_address *a, const char *text, size_t len);
bool peer_address_same(const struct peer_address *a, const struct peer_address *b);

// What a cap counts together: an IPv4 address, or the /64 of an IPv6 address, since whoever has one address of it has
// all of them. 0: the address is not known.
uint64_t peer_address_key(const struct peer_address *a);

#define PEER_ADDRESS_TEXT 46
// Writes it as inet_ntop does, or "unix" or "unknown".
void peer_address_print(const struct peer_address *a, char text[PEER_ADDRESS_TEXT]);

// "10.0.0.0/8", "10.0.0.1", "2001:db8::/32", or "unix" for all unix sockets. False where it is none, or where bits
// behind the prefix are set.
bool peer_range_parse(struct peer_range *r, const char *text);
bool peer_ranges_have(const struct peer_ranges *ranges, const struct peer_address *a);
