// Text of others, fit for a terminal or for JSON.
#pragma once

#include <stddef.h>
#include <stdio.h>

// In one line, without a control sequence of a terminal: control characters (C0, C1, DEL) and those that turn the
// direction of writing are written \n, \t, \x1b, \u202e, and bytes that are no UTF-8 \xff.
void shown_text(FILE *out, const char *text, size_t len);

// A JSON string (RFC 8259, section 7), with its quotes. The same characters are escaped as \u202e. A byte that is no
// UTF-8 becomes U+FFFD.
void shown_json(FILE *out, const char *text, size_t len);
