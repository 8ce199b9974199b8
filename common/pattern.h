// Channel names and the patterns that grant them (docs/subscribing.md, "Channels"). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CHANNEL_NAME_MAX 128

enum channel_name_result {
    CHANNEL_NAME_OK,
    CHANNEL_NAME_EMPTY,
    CHANNEL_NAME_TOO_LONG, // more than CHANNEL_NAME_MAX bytes
    CHANNEL_NAME_BAD_BYTE, // not of A-Z a-z 0-9 _ . : @ / -
    CHANNEL_NAME_RESERVED, // begins with "__" or "sse:"
};

enum channel_name_result channel_name_check(const char *name, size_t len);

// True where `name` equals `pattern`, or `pattern` ends with '*' and `name` begins with what stands before
// it.
bool pattern_matches(const char *pattern, const char *name, size_t name_len);

// True where `pattern` is one that can be used: channel name bytes, with an optional '*' as the last byte.
bool pattern_valid(const char *pattern);
