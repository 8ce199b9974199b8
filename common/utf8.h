// UTF-8 (RFC 3629: nothing overlong, no surrogates, nothing above U+10FFFF). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Bytes of the character that begins at `text`, or 0 where no valid one does. `left` is what may be read.
size_t utf8_sequence(const char *text, size_t left);

// True where the bytes are valid and hold no NUL. Fast on ASCII: this runs over every message of the gateway.
bool utf8_text_valid(const char *text, size_t len);

// Copies what fits of `text` to `out`, with an end mark; each byte but printable ASCII becomes `?`. For the words of a
// server in a page: cut anywhere, they stay text.
void utf8_copy_ascii(char *out, size_t size, const char *text);
