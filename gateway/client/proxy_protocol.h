// The header that a proxy puts before the bytes of a connection, to say where it comes from: PROXY protocol versions 1
// and 2 (HAProxy, doc/proxy-protocol.txt). Pure.
#pragma once

#include <stddef.h>

#include "gateway/client/peer_address.h"

enum proxy_version { PROXY_OFF, PROXY_V1, PROXY_V2, PROXY_ANY };

// Bytes of the longest header that is taken. Those of version 1 have at most 107; those of version 2 may hold what a
// proxy knows of a client's certificate.
#define PROXY_HEADER_MAX 4096

enum proxy_parse { PROXY_DONE, PROXY_MORE, PROXY_BAD };

// Looks for a whole header of a version that `allowed` names (not PROXY_OFF) in the first `len` bytes.
//   DONE  `*header_len` bytes made it up; `*from` is the address that it names, or unknown (UNKNOWN, LOCAL, unix
//         sockets): never the address of the proxy, which would make its clients trusted
//   MORE  not whole yet, and good so far: all bytes belong to it
//   BAD   it will never be one
// Of version 2 the values behind the addresses (TLV) must fit, and a checksum (CRC32C) among them must be right; what
// they say is not used.
enum proxy_parse proxy_header_parse(const char *bytes, size_t len, enum proxy_version allowed,
                                    struct peer_address *from, size_t *header_len);
