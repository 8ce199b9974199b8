// A piece of a request head: borrowed bytes, and how the modules that read heads compare and classify them.
// Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_text {
    const char *at; // borrowed from the head; NULL where absent. Not terminated.
    size_t len;
};

// True where `text` equals the terminated string `s` without regard to ASCII case. Absent equals nothing.
bool http_text_is(struct http_text text, const char *s);

// True where both are the same without regard to ASCII case.
bool http_text_same(struct http_text a, struct http_text b);

// True where all bytes are those of a token, and there are some.
bool http_text_is_token(struct http_text text);

// Without SP and TAB at either end (OWS, RFC 9110 section 5.6.3).
struct http_text http_text_trim(struct http_text text);

// Classes of bytes, whatever the locale.
bool http_is_digit(char c);
bool http_is_alnum(char c);
bool http_is_token(char c); // RFC 9110 section 5.6.2
