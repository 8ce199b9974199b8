#include "common/transport.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void transport_init(struct transport *t, int fd)
{
    *t = (struct transport){.fd = fd};
}

bool transport_start_tls(struct transport *t, struct tls_context *context, const char *host)
{
    assert(t->fd >= 0 && !t->tls);
    t->tls = tls_create(context, t->fd, host);
    return t->tls != NULL;
}

void transport_close(struct transport *t)
{
    tls_destroy(t->tls);
    if (t->fd >= 0)
        (void)close(t->fd); // nothing that was sent depends on it
    transport_init(t, -1);
}

ssize_t transport_handshake(struct transport *t)
{
    return t->tls ? tls_handshake(t->tls) : 0;
}

// The TRANSPORT_* value for a call on a plain socket that did not succeed.
static ssize_t outcome(struct transport *t, int wait)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return wait;
    t->failure = errno;
    return TRANSPORT_LOST;
}

ssize_t transport_read(struct transport *t, char *bytes, size_t size)
{
    ssize_t n;
    if (t->tls)
        return tls_read(t->tls, bytes, size);
    do
        n = recv(t->fd, bytes, size, 0);
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : n == 0 ? TRANSPORT_END : outcome(t, TRANSPORT_WAIT_READ);
}

bool transport_has_more(const struct transport *t)
{
    return t->tls && tls_has_more(t->tls);
}

static ssize_t write_records(struct transport *t, const struct iovec *pieces, int count)
{
    ssize_t taken = 0;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len == 0)
            continue; // OpenSSL takes no empty record
        ssize_t n = tls_write(t->tls, pieces[i].iov_base, pieces[i].iov_len);
        if (n < 0)
            return taken > 0 ? taken : n; // the next call says it again
        taken += n;
        if ((size_t)n < pieces[i].iov_len)
            break;
    }
    return taken;
}

ssize_t transport_writev(struct transport *t, const struct iovec *pieces, int count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    if (t->tls)
        return write_records(t, pieces, count);
    do
        n = sendmsg(t->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0 ? n : outcome(t, TRANSPORT_WAIT_WRITE);
}

ssize_t transport_shutdown(struct transport *t)
{
    ssize_t said = t->tls ? tls_shutdown(t->tls) : 0;
    if (said != 0)
        return said;
    return shutdown(t->fd, SHUT_WR) == 0 ? 0 : outcome(t, TRANSPORT_WAIT_WRITE);
}

const char *transport_error(const struct transport *t)
{
    return t->tls ? tls_error(t->tls) : t->failure ? strerror(t->failure) : "closed by the server";
}
