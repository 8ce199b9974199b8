#include "common/tls_wire.h"

#include <string.h>

size_t tls_wire_take(struct tls_wire *w, void *out, size_t size)
{
    size_t n = size < w->fed_len ? size : w->fed_len;
    if (n > 0)
        memcpy(out, w->fed, n);
    w->fed += n;
    w->fed_len -= n;
    return n;
}

bool tls_wire_send(struct tls_wire *w, const void *bytes, size_t len)
{
    ssize_t sent = w->waiting.len > 0 ? 0 : w->send(w->ctx, bytes, len);
    if (sent < 0)
        return false;
    size_t rest = len - (size_t)sent;
    return rest == 0 || (w->waiting.len + rest <= TLS_WAITING_MAX &&
                         buf_append(&w->waiting, (const char *)bytes + sent, rest));
}

bool tls_wire_flush(struct tls_wire *w)
{
    if (w->waiting.len == 0)
        return true;
    ssize_t n = w->send(w->ctx, w->waiting.data, w->waiting.len);
    if (n < 0)
        return false;
    w->waiting.len -= (size_t)n;
    if (w->waiting.len > 0)
        memmove(w->waiting.data, w->waiting.data + n, w->waiting.len);
    else
        buf_free(&w->waiting);
    return true;
}
