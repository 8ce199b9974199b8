// base64url without padding (RFC 4648 section 5, RFC 7515 section 2), read strictly: each text has one value, and each
// value one text. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Bytes that a text of `len` makes at most; characters, with the end mark, that `len` bytes make.
#define BASE64URL_BYTES(len) ((len) / 4 * 3 + 2)
#define BASE64URL_TEXT(len) ((len) / 3 * 4 + 4)

// Decodes into `out`, which has room for BASE64URL_BYTES(len). False for padding, for any byte outside of the alphabet,
// for a length that no bytes make, and where bits behind the last byte are not zero. `out` may be `text`.
bool base64url_decode(const char *text, size_t len, unsigned char *out, size_t *out_len);
// Writes a terminated text into `out`, which has room for BASE64URL_TEXT(len). Returns its length.
size_t base64url_encode(const unsigned char *bytes, size_t len, char *out);
