// Which certificate serves which host name: exact names and those with a `*` as the whole first label (RFC
// 6125 section 6.4.3). Filled once, then sorted, then read by any thread. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TLS_HOST_MAX 253 // bytes of a host name (RFC 1035 section 2.3.4)

struct tls_name {
    char *host; // lower case; "*.example.com"
    size_t certificate;
};

// All zero has no names.
struct tls_names {
    struct tls_name *items;
    size_t count;
};

// `len` bytes of `host` (borrowed) belong to `certificate`. What is no host name is left out. False when out
// of memory.
bool tls_names_add(struct tls_names *names, const char *host, size_t len, size_t certificate);
// Before the first tls_names_find. Of one name that several certificates have the lowest certificate counts.
void tls_names_sort(struct tls_names *names);
// The certificate of `host` (any case), an exact name before a wildcard; -1 where there is none.
long tls_names_find(const struct tls_names *names, const char *host);
void tls_names_deinit(struct tls_names *names);
