// UTF-8 (RFC 3629: nothing overlong, no surrogates, nothing above U+10FFFF), one character at a time. For
// what is rare or short; messages in the gateway are checked by fanout/sse.c, which is fast. Pure.
#pragma once

#include <stddef.h>

// Bytes of the character that begins at `text`, or 0 where no valid one does. `left` is what may be read.
size_t utf8_sequence(const char *text, size_t left);

// The length of the part of `text` that is valid: `len` where all of it is.
size_t utf8_valid_length(const char *text, size_t len);
