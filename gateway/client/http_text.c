#include "gateway/client/http_text.h"

#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool http_text_is(struct http_text text, const char *s)
{
    return text.at != NULL && http_text_same(text, (struct http_text){s, strlen(s)});
}

bool http_text_same(struct http_text a, struct http_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct http_text http_text_trim(struct http_text text)
{
    while (text.len > 0 && is_blank(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

bool http_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool http_is_alnum(char c)
{
    return http_is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

bool http_is_token(char c)
{
    return http_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool http_text_is_token(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!http_is_token(text.at[i]))
            return false;
    return text.len > 0;
}
