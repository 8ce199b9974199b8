// A hexadecimal digit, whatever the locale. Pure.
#pragma once

// 0-15, -1 where it is none.
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20); // lower case
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
