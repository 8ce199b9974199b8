// INI files: "name = value" lines. '#' or ';' begins a comment line, [sections] may group lines and mean
// nothing. A value is all that follows the first '=', without blanks around it, so it may hold any of "#;=:".
//
// Not inih: as Debian builds it, a line ends at 200 bytes, " ;" cuts a value (and a password) short, and an
// indented line goes on with the value before it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Bytes of a line, without its end.
#define INI_LINE_MAX 4096

// One line; `name` and `value` are borrowed for the call. False stops the reading, with the reason in
// `error`.
typedef bool ini_entry_callback(void *user, const char *name, const char *value, unsigned line, char *error,
                                size_t error_size);

// Reads `in` to its end. On failure returns false with "FILENAME:LINE: reason" in `error`.
bool ini_read(FILE *in, const char *filename, ini_entry_callback *on_entry, void *user, char *error,
              size_t error_size);
