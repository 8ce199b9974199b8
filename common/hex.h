// Hexadecimal digits, whatever the locale. Pure.
#pragma once

#include <stddef.h>

// 0-15, -1 where it is none.
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20); // lower case
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 2 * `len` digits in lower case, and a terminator.
static inline void hex_write(char *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}
