#include "gateway/client/http_lookup.h"

#include <string.h>

bool http_lookup(struct http_text fields, size_t *cursor, const char *name, struct http_text *value)
{
    size_t name_len = strlen(name);
    while (*cursor < fields.len) {
        const char *line = fields.at + *cursor;
        const char *end = memchr(line, '\r', fields.len - *cursor);
        size_t len = end ? (size_t)(end - line) : fields.len - *cursor;
        *cursor += len + 2; // CRLF
        if (len > name_len && line[name_len] == ':' &&
            http_text_is((struct http_text){line, name_len}, name)) {
            *value = http_text_trim((struct http_text){line + name_len + 1, len - name_len - 1});
            return true;
        }
    }
    return false;
}
