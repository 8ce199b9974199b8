#include "common/utf8.h"

#include <stdbool.h>

static bool in_range(unsigned char byte, unsigned char low, unsigned char high)
{
    return byte >= low && byte <= high;
}

size_t utf8_sequence(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xBF;
    size_t len;

    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (in_range(s[0], 0xC2, 0xDF)) {
        len = 2;
    } else if (in_range(s[0], 0xE0, 0xEF)) {
        len = 3;
        low = s[0] == 0xE0 ? 0xA0 : 0x80;
        high = s[0] == 0xED ? 0x9F : 0xBF;
    } else if (in_range(s[0], 0xF0, 0xF4)) {
        len = 4;
        low = s[0] == 0xF0 ? 0x90 : 0x80;
        high = s[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (len > left || !in_range(s[1], low, high))
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (!in_range(s[i], 0x80, 0xBF))
            return 0;
    }
    return len;
}

size_t utf8_valid_length(const char *text, size_t len)
{
    size_t used = 0, step;

    while (used < len && (step = utf8_sequence(text + used, len - used)) > 0)
        used += step;
    return used;
}
