#include "gateway/client/peer_address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V4_BITS 32u
#define V6_BITS 128u
#define MAPPED_BITS 96u // of ::ffff:0:0/96, in which IPv6 has the IPv4 addresses

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct peer_address peer_address_v4(const void *four_bytes)
{
    struct peer_address a = {.family = ADDRESS_V4};
    memcpy(a.bytes, four_bytes, 4);
    return a;
}

struct peer_address peer_address_v6(const void *sixteen_bytes)
{
    struct peer_address a = {.family = ADDRESS_V6};
    if (memcmp(sixteen_bytes, mapped_prefix, sizeof mapped_prefix) == 0)
        return peer_address_v4((const char *)sixteen_bytes + sizeof mapped_prefix);
    memcpy(a.bytes, sixteen_bytes, sizeof a.bytes);
    return a;
}

struct peer_address peer_address_of_socket(const struct sockaddr *address)
{
    switch (address->sa_family) {
    case AF_INET:
        return peer_address_v4(&((const struct sockaddr_in *)address)->sin_addr);
    case AF_INET6:
        return peer_address_v6(&((const struct sockaddr_in6 *)address)->sin6_addr);
    case AF_UNIX:
        return (struct peer_address){.family = ADDRESS_UNIX};
    default:
        return (struct peer_address){.family = ADDRESS_NONE};
    }
}

bool peer_address_parse(struct peer_address *a, const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (len == 0 || len >= sizeof copy || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1)
        *a = peer_address_v4(&v4);
    else if (inet_pton(AF_INET6, copy, &v6) == 1)
        *a = peer_address_v6(&v6);
    else
        return false;
    return true;
}

bool peer_address_same(const struct peer_address *a, const struct peer_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

uint64_t peer_address_key(const struct peer_address *a)
{
    uint64_t key = 0;
    // The keys of IPv4, and of ::/64 (which has ::1), are prefixes of 0::/8, which is reserved (RFC 4291 section 2.4):
    // no other address has them.
    size_t bytes = a->family == ADDRESS_V4 ? 4 : a->family == ADDRESS_V6 ? 8 : 0;
    for (size_t i = 0; i < bytes; i++)
        key = key << 8 | a->bytes[i];
    if (a->family == ADDRESS_V4)
        return key | UINT64_C(1) << 32;
    return a->family == ADDRESS_V6 && key == 0 ? UINT64_C(1) << 33 : key;
}

void peer_address_print(const struct peer_address *a, char text[PEER_ADDRESS_TEXT])
{
    static_assert(PEER_ADDRESS_TEXT == INET6_ADDRSTRLEN, "no text of an address is longer");
    if (a->family != ADDRESS_V4 && a->family != ADDRESS_V6)
        snprintf(text, PEER_ADDRESS_TEXT, "%s", a->family == ADDRESS_UNIX ? "unix" : "unknown");
    else
        (void)inet_ntop(a->family == ADDRESS_V4 ? AF_INET : AF_INET6, a->bytes, text,
                        PEER_ADDRESS_TEXT); // has room for any
}

static bool is_zero_from(const uint8_t *bytes, size_t count, unsigned bit)
{
    for (size_t i = bit / 8; i < count; i++)
        if (bytes[i] & (i == bit / 8 ? 0xffu >> bit % 8 : 0xffu))
            return false;
    return true;
}

// Reads the prefix of "ADDRESS/BITS"; `whole` where there is none.
static bool read_bits(const char *slash, unsigned whole, unsigned *bits)
{
    *bits = whole;
    if (!slash)
        return true;
    char *end;
    size_t digits = strspn(slash + 1, "0123456789");
    unsigned long n = strtoul(slash + 1, &end, 10);
    *bits = (unsigned)n;
    return digits >= 1 && digits <= 3 && *end == '\0' && n <= whole;
}

bool peer_range_parse(struct peer_range *r, const char *text)
{
    *r = (struct peer_range){.base = {.family = ADDRESS_UNIX}};
    if (strcmp(text, "unix") == 0)
        return true;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    bool written_v6 = memchr(text, ':', len) != NULL;
    unsigned bits;
    if (!peer_address_parse(&r->base, text, len) || !read_bits(slash, written_v6 ? V6_BITS : V4_BITS, &bits))
        return false;
    bool is_v4 = r->base.family == ADDRESS_V4;
    if (is_v4 && written_v6) {
        if (bits < MAPPED_BITS)
            return false;
        bits -= MAPPED_BITS;
    }
    r->bits = (uint8_t)bits;
    return is_zero_from(r->base.bytes, is_v4 ? 4 : 16, bits);
}

static bool range_has(const struct peer_range *r, const struct peer_address *a)
{
    if (a->family != r->base.family || a->family == ADDRESS_NONE)
        return false;
    size_t whole = r->bits / 8, rest = r->bits % 8;
    return memcmp(a->bytes, r->base.bytes, whole) == 0 &&
           (rest == 0 || (a->bytes[whole] ^ r->base.bytes[whole]) >> (8 - rest) == 0);
}

bool peer_ranges_have(const struct peer_ranges *ranges, const struct peer_address *a)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (range_has(&ranges->items[i], a))
            return true;
    return false;
}
