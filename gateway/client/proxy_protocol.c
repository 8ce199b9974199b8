#include "gateway/client/proxy_protocol.h"

#include <string.h>

#include "gateway/client/http_text.h"

// ---- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"

#define V1_MAX 107u // bytes, with CRLF (section 2.1)
#define V1_BEGIN "PROXY "

// Cuts the next word off `*rest`: words are separated by one space each. False where none is left.
static bool next_word(struct http_text *rest, struct http_text *word)
{
    if (!rest->at)
        return false;
    const char *space = memchr(rest->at, ' ', rest->len);
    *word = (struct http_text){rest->at, space ? (size_t)(space - rest->at) : rest->len};
    *rest = space ? (struct http_text){space + 1, rest->len - word->len - 1} : (struct http_text){NULL, 0};
    return true;
}

static bool is_port(struct http_text t)
{
    unsigned n = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (!http_is_digit(t.at[i]) || i == 5)
            return false;
        n = n * 10 + (unsigned)(t.at[i] - '0');
    }
    return t.len > 0 && n <= 65535 && (t.at[0] != '0' || t.len == 1);
}

// An address as it is written for TCP4, or for TCP6.
static bool is_address(struct http_text t, bool six, struct peer_address *a)
{
    return (memchr(t.at, ':', t.len) != NULL) == six && peer_address_parse(a, t.at, t.len);
}

static bool v1_line(struct http_text line, struct peer_address *from)
{
    struct http_text family, source, target, source_port, target_port;
    struct peer_address ignored;
    *from = (struct peer_address){.family = ADDRESS_NONE};
    if (!next_word(&line, &family))
        return false;
    if (family.len == 7 && memcmp(family.at, "UNKNOWN", 7) == 0)
        return true; // whatever follows is to be ignored
    bool six = family.len == 4 && memcmp(family.at, "TCP6", 4) == 0;
    if (!six && (family.len != 4 || memcmp(family.at, "TCP4", 4) != 0))
        return false;
    return next_word(&line, &source) && next_word(&line, &target) && next_word(&line, &source_port) &&
           next_word(&line, &target_port) && !line.at && is_address(source, six, from) &&
           is_address(target, six, &ignored) && is_port(source_port) && is_port(target_port);
}

static enum proxy_parse v1_parse(const char *bytes, size_t len, struct peer_address *from, size_t *header_len)
{
    const size_t begin = sizeof V1_BEGIN - 1;
    const char *end = memchr(bytes, '\n', len < V1_MAX ? len : V1_MAX);
    if (!end)
        return len >= V1_MAX ? PROXY_BAD : PROXY_MORE;
    size_t line = (size_t)(end - bytes);
    if (line <= begin || end[-1] != '\r' || memchr(bytes, '\r', line - 1) ||
        !v1_line((struct http_text){bytes + begin, line - begin - 1}, from))
        return PROXY_BAD;
    *header_len = line + 1;
    return PROXY_DONE;
}

// ---- version 2: a signature, version and command, family, length; addresses; values

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_HEAD 16u // bytes, before the addresses
#define V2_LOCAL 0x20u
#define V2_PROXY 0x21u
#define TLV_HEAD 3u // bytes: type, length
#define TLV_CRC32C 0x03u

static unsigned u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

// Castagnoli (RFC 4960 appendix B), a bit at a time: a header is short. Bytes of [zero_at, zero_at + 4) count as 0.
static uint32_t crc32c(const uint8_t *bytes, size_t len, size_t zero_at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= i - zero_at < 4 ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static bool values_good(const uint8_t *bytes, size_t at, size_t len)
{
    while (at < len) {
        if (len - at < TLV_HEAD || len - at - TLV_HEAD < u16(bytes + at + 1))
            return false;
        size_t value = at + TLV_HEAD, size = u16(bytes + at + 1);
        if (bytes[at] == TLV_CRC32C) {
            if (size != 4)
                return false;
            uint32_t said = (uint32_t)u16(bytes + value) << 16 | u16(bytes + value + 2);
            if (said != crc32c(bytes, len, value))
                return false;
        }
        at = value + size;
    }
    return true;
}

// `bytes`: a whole header of version 2, of `len` bytes.
static bool v2_body(const uint8_t *bytes, size_t len, struct peer_address *from)
{
    static const size_t addresses[] = {0, 12, 36, 216}; // bytes: unspecified, IPv4, IPv6, unix
    *from = (struct peer_address){.family = ADDRESS_NONE};
    if (bytes[12] == V2_LOCAL)
        return true; // the proxy's own connection, such as a health check: the rest is to be ignored
    unsigned family = bytes[13] >> 4, transport = bytes[13] & 0xf;
    size_t values = V2_HEAD + addresses[family];
    if (len < values || !values_good(bytes, values, len))
        return false;
    if (transport == 1 && family == 1) // TCP
        *from = peer_address_v4(bytes + V2_HEAD);
    else if (transport == 1 && family == 2)
        *from = peer_address_v6(bytes + V2_HEAD);
    return true;
}

static enum proxy_parse v2_parse(const uint8_t *bytes, size_t len, struct peer_address *from,
                                 size_t *header_len)
{
    if ((len > 12 && bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY) ||
        (len > 13 && (bytes[13] >> 4 > 3 || (bytes[13] & 0xf) > 2)))
        return PROXY_BAD;
    if (len < V2_HEAD)
        return PROXY_MORE;
    size_t whole = V2_HEAD + u16(bytes + 14);
    if (whole > PROXY_HEADER_MAX)
        return PROXY_BAD;
    if (len < whole)
        return PROXY_MORE;
    *header_len = whole;
    return v2_body(bytes, whole, from) ? PROXY_DONE : PROXY_BAD;
}

static bool begins(const char *bytes, size_t len, const char *with, size_t with_len)
{
    return memcmp(bytes, with, len < with_len ? len : with_len) == 0;
}

enum proxy_parse proxy_header_parse(const char *bytes, size_t len, enum proxy_version allowed,
                                    struct peer_address *from, size_t *header_len)
{
    if (allowed != PROXY_V2 && begins(bytes, len, V1_BEGIN, sizeof V1_BEGIN - 1))
        return v1_parse(bytes, len, from, header_len);
    if (allowed != PROXY_V1 && begins(bytes, len, V2_SIGNATURE, sizeof V2_SIGNATURE - 1))
        return v2_parse((const uint8_t *)bytes, len, from, header_len);
    return PROXY_BAD;
}
