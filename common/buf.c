#include "common/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 256u
#define KEEP_CAPACITY 65536u

bool buf_reserve(struct buf *b, size_t more)
{
    if (more <= b->capacity - b->len)
        return true;
    if (more > SIZE_MAX / 2 - b->len)
        return false;
    size_t capacity = b->capacity ? b->capacity : MIN_CAPACITY;
    while (capacity < b->len + more)
        capacity *= 2;
    char *data = realloc(b->data, capacity);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

bool buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return true;
    if (!buf_reserve(b, len))
        return false;
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
    return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    // One more byte for the terminator that vsnprintf insists on.
    bool ok = len >= 0 && buf_reserve(b, (size_t)len + 1);
    if (ok) {
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
    return ok;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->capacity > KEEP_CAPACITY)
        buf_free(b);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
