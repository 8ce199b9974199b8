#include "common/utf8.h"

#include <stdint.h>
#include <string.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

// By the table of RFC 3629 section 4.
size_t utf8_sequence(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80;  // below: overlong
        unsigned char high = p[0] == 0xed ? 0x9f : 0xbf; // above: surrogates
        return left >= 3 && p[1] >= low && p[1] <= high && is_tail(p[2]) ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80;  // below: overlong
        unsigned char high = p[0] == 0xf4 ? 0x8f : 0xbf; // above: beyond U+10FFFF
        return left >= 4 && p[1] >= low && p[1] <= high && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
    }
    return 0;
}

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static uint64_t load64(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

// Zero where all eight bytes are in 0x01-0x7f: a byte above has its high bit set, and a zero byte borrows and
// sets it.
static uint64_t odd_bytes(uint64_t word)
{
    return (word | (word - ONES)) & HIGHS;
}

// Skips bytes of 0x01-0x7f. Stops at the end or at the first other byte.
static const char *skip_ascii(const char *p, const char *end)
{
    while (end - p >= 32 && (odd_bytes(load64(p)) | odd_bytes(load64(p + 8)) | odd_bytes(load64(p + 16)) |
                             odd_bytes(load64(p + 24))) == 0)
        p += 32;
    while (end - p >= 8 && odd_bytes(load64(p)) == 0)
        p += 8;
    while (p<end && * p> 0 && (unsigned char)*p < 0x80)
        p++;
    return p;
}

bool utf8_text_valid(const char *text, size_t len)
{
    if (len == 0)
        return true; // `text` may be NULL
    const char *p = text, *end = text + len;
    while ((p = skip_ascii(p, end)) < end) {
        if (*p == '\0')
            return false;
        // A run of other scripts stays in this loop: the search for eight ASCII bytes would fail at every
        // character.
        do {
            size_t n = utf8_sequence(p, (size_t)(end - p));
            if (n == 0)
                return false;
            p += n;
        } while (p < end && (unsigned char)*p >= 0x80);
    }
    return true;
}

void utf8_copy_ascii(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; n + 1 < size && text[n]; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = '\0';
}
