#include "common/base64url.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// 1-64; 0 for a byte outside of the alphabet.
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64};

// 0-63; more for a byte outside of the alphabet.
static uint32_t value_of(char c)
{
    return values[(unsigned char)c] - 1u;
}

// Decodes the last `count` characters, 2 or 3, to one byte less. False where one is not of the alphabet, or a bit is
// left over.
static bool decode_rest(const char *text, unsigned count, unsigned char *out)
{
    uint32_t bits = 0, all = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t value = value_of(text[i]);
        all |= value;
        bits |= value << (18 - 6 * i);
    }
    for (unsigned i = 0; i + 1 < count; i++)
        out[i] = (unsigned char)(bits >> (16 - 8 * i));
    return all < 64 && (bits & (0xffffffu >> (8 * (count - 1)))) == 0;
}

// Decodes 4 characters to 3 bytes. False where one is not of the alphabet.
static bool decode_four(const char *text, unsigned char *out)
{
    uint32_t a = value_of(text[0]), b = value_of(text[1]), c = value_of(text[2]), d = value_of(text[3]);
    uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    return (a | b | c | d) < 64;
}

bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t *out_len)
{
    size_t rest = len % 4;
    if (rest == 1)
        return false;
    *out_len = len / 4 * 3 + (rest ? rest - 1 : 0);
    for (size_t i = 0; i < len / 4; i++)
        if (!decode_four(text + 4 * i, out + 3 * i))
            return false;
    return rest == 0 || decode_rest(text + (len - rest), rest, out + len / 4 * 3);
}

size_t base64url_encode(const unsigned char *bytes, size_t len, char *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | bytes[i]) & 0xffff;
        for (count += 8; count >= 6; count -= 6)
            out[n++] = alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0)
        out[n++] = alphabet[bits << (6 - count) & 63];
    out[n] = '\0';
    return n;
}
