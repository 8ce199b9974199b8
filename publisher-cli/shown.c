#include "publisher-cli/shown.h"

#include "common/utf8.h"

#include <string.h>

// The code point of a valid sequence of two or three bytes; what is longer has nothing to hide.
static unsigned code_of(const char *text, size_t len)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (len == 2)
        return (byte[0] & 0x1fu) << 6 | (byte[1] & 0x3fu);
    return len == 3 ? (byte[0] & 0x0fu) << 12 | (byte[1] & 0x3fu) << 6 | (byte[2] & 0x3fu) : 0x10000u;
}

// Line and paragraph separators, and marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX 9).
static bool turns_text(unsigned code)
{
    return code == 0x61c || (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

static void show_ascii(FILE *out, char byte)
{
    static const char escaped[] = "\t\n\r", letters[] = "tnr";
    const char *at = byte ? strchr(escaped, byte) : NULL;
    if (at)
        fprintf(out, "\\%c", letters[at - escaped]);
    else if ((unsigned char)byte < 0x20 || byte == 0x7f)
        fprintf(out, "\\x%02x", (unsigned)(unsigned char)byte);
    else
        fputc(byte, out);
}

// A valid sequence of several bytes that is shown by its number alone.
static bool is_hidden(unsigned code)
{
    return code < 0xa0 || turns_text(code);
}

void shown_text(FILE *out, const char *text, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        size_t valid = utf8_sequence(text + at, len - at);
        n = valid ? valid : 1;
        if (valid == 1)
            show_ascii(out, text[at]);
        else if (valid == 0)
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)text[at]);
        else if (is_hidden(code_of(text + at, valid)))
            fprintf(out, "\\u%04x", code_of(text + at, valid));
        else
            fwrite(text + at, 1, n, out);
    }
}

static void json_ascii(FILE *out, char byte)
{
    if ((unsigned char)byte < 0x20 || byte == 0x7f)
        fprintf(out, "\\u%04x", (unsigned)(unsigned char)byte);
    else if (byte == '"' || byte == '\\')
        fprintf(out, "\\%c", byte);
    else
        fputc(byte, out);
}

void shown_json(FILE *out, const char *text, size_t len)
{
    fputc('"', out);
    for (size_t at = 0, n; at < len; at += n) {
        size_t valid = utf8_sequence(text + at, len - at);
        n = valid ? valid : 1;
        if (valid == 1)
            json_ascii(out, text[at]);
        else if (valid == 0)
            fputs("\\ufffd", out);
        else if (is_hidden(code_of(text + at, valid)))
            fprintf(out, "\\u%04x", code_of(text + at, valid));
        else
            fwrite(text + at, 1, n, out);
    }
    fputc('"', out);
}
