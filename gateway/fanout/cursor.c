#include "gateway/fanout/cursor.h"

#include <stdint.h>
#include <string.h>
#include <xxhash.h>

#define CHECK_SIZE 3u
#define HEAD_SIZE (CHECK_SIZE + 1u)
#define BYTES_MAX (CURSOR_MAX / 4u * 3u)
#define VARINT_MAX 10u
#define HASH_SIZE 3u
#define ENTRY_MAX (HASH_SIZE + 2u * VARINT_MAX)

#define FLAGS_VERSION 0x20u // in the high bits, so that another form can follow
#define FLAG_CUT 0x01u      // some channels are left out that the client had

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// The same on all gateways: without the seed of common/map.h.
static uint32_t channel_hash(const char *channel, size_t len)
{
    return (uint32_t)XXH3_64bits(channel, len) & 0xffffffu;
}

static uint32_t check_of(const uint8_t *bytes, size_t len)
{
    return (uint32_t)XXH3_64bits(bytes, len) & 0xffffffu;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t byte = *(*p)++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

// `out` has room for ENTRY_MAX bytes.
static size_t put_entry(uint8_t *out, const struct cursor_entry *e, uint64_t newest)
{
    uint32_t hash = channel_hash(e->channel, e->channel_len);
    out[0] = (uint8_t)(hash >> 16);
    out[1] = (uint8_t)(hash >> 8);
    out[2] = (uint8_t)hash;
    size_t n = HASH_SIZE;
    n += put_varint(out + n, e->at.offset);
    if (e->at.offset > 0)
        n += put_varint(out + n, newest - e->at.ms);
    return n;
}

static size_t put_text(const uint8_t *bytes, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16;
        word |= have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        word |= have > 2 ? bytes[i + 2] : 0;
        for (size_t k = 0; k <= have; k++)
            out[n++] = alphabet[word >> (18 - 6 * k) & 63];
    }
    return n;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// The bytes that the text stands for; 0 where it is none.
static size_t get_text(const char *text, size_t len, uint8_t *out)
{
    if (len > CURSOR_MAX || len % 4 == 1)
        return 0;
    uint32_t word = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return 0;
        word = word << 6 | (uint32_t)value;
        if (i % 4 > 0)
            out[n++] = (uint8_t)(word >> (6 - 2 * (i % 4)));
    }
    return n;
}

size_t cursor_encode(const struct cursor_entry *entries, size_t count, char *out)
{
    uint8_t bytes[BYTES_MAX];
    uint64_t newest = 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].at.ms > newest)
            newest = entries[i].at.ms;
    bytes[CHECK_SIZE] = FLAGS_VERSION;
    size_t n = HEAD_SIZE + put_varint(bytes + HEAD_SIZE, newest);
    for (size_t i = 0; i < count; i++) {
        uint8_t entry[ENTRY_MAX];
        size_t len = entries[i].unknown ? 0 : put_entry(entry, &entries[i], newest);
        if (len == 0 || n + len > sizeof bytes) {
            bytes[CHECK_SIZE] |= FLAG_CUT;
            continue;
        }
        memcpy(bytes + n, entry, len);
        n += len;
    }
    uint32_t check = check_of(bytes + CHECK_SIZE, n - CHECK_SIZE);
    bytes[0] = (uint8_t)(check >> 16);
    bytes[1] = (uint8_t)(check >> 8);
    bytes[2] = (uint8_t)check;
    return put_text(bytes, n, out);
}

static bool get_entry(const uint8_t **p, const uint8_t *end, uint64_t newest, uint32_t *hash,
                      struct event_id *at)
{
    if (end - *p < (ptrdiff_t)HASH_SIZE)
        return false;
    *hash = (uint32_t)(*p)[0] << 16 | (uint32_t)(*p)[1] << 8 | (*p)[2];
    *p += HASH_SIZE;
    uint64_t age = newest;
    if (!get_varint(p, end, &at->offset) || (at->offset > 0 && !get_varint(p, end, &age)) || age > newest)
        return false;
    at->ms = newest - age;
    return true;
}

enum cursor_result cursor_find(const char *text, size_t len, const char *channel, size_t channel_len,
                               struct event_id *at)
{
    uint8_t bytes[BYTES_MAX];
    size_t n = get_text(text, len, bytes);
    if (n < HEAD_SIZE + 1 || (bytes[CHECK_SIZE] & ~FLAG_CUT) != FLAGS_VERSION)
        return CURSOR_UNKNOWN;
    uint32_t check = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
    if (check != check_of(bytes + CHECK_SIZE, n - CHECK_SIZE))
        return CURSOR_UNKNOWN;
    const uint8_t *p = bytes + HEAD_SIZE, *end = bytes + n;
    uint64_t newest;
    if (!get_varint(&p, end, &newest))
        return CURSOR_UNKNOWN;
    uint32_t wanted = channel_hash(channel, channel_len), hash;
    while (p < end) {
        if (!get_entry(&p, end, newest, &hash, at))
            return CURSOR_UNKNOWN;
        if (hash == wanted)
            return CURSOR_KNOWN;
    }
    return bytes[CHECK_SIZE] & FLAG_CUT ? CURSOR_UNKNOWN : CURSOR_NEW;
}
