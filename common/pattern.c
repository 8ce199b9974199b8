#include "common/pattern.h"

#include <string.h>

static bool is_channel_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '@' || c == '/' || c == '-';
}

static bool has_prefix(const char *name, size_t len, const char *prefix, size_t prefix_len)
{
    return len >= prefix_len && memcmp(name, prefix, prefix_len) == 0;
}

enum channel_name_result channel_name_check(const char *name, size_t len)
{
    if (len == 0)
        return CHANNEL_NAME_EMPTY;
    if (len > CHANNEL_NAME_MAX)
        return CHANNEL_NAME_TOO_LONG;
    for (size_t i = 0; i < len; i++) {
        if (!is_channel_byte(name[i]))
            return CHANNEL_NAME_BAD_BYTE;
    }
    if (has_prefix(name, len, "__", 2) || has_prefix(name, len, "sse:", 4))
        return CHANNEL_NAME_RESERVED;
    return CHANNEL_NAME_OK;
}

bool pattern_matches(const char *pattern, const char *name, size_t name_len)
{
    size_t len = strlen(pattern);

    if (len > 0 && pattern[len - 1] == '*')
        return has_prefix(name, name_len, pattern, len - 1);
    return len == name_len && memcmp(name, pattern, len) == 0;
}

bool pattern_valid(const char *pattern)
{
    size_t len = strlen(pattern);

    if (len == 0)
        return false;
    if (pattern[len - 1] == '*')
        len--;
    if (len > CHANNEL_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_channel_byte(pattern[i]))
            return false;
    }
    return true;
}
