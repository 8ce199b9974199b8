#include "gateway/client/conn_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/client/request.h"

// A stream's client has nothing to say: one that sends more than this is ended, so that it cannot make us
// read for ever.
#define NOISE_MAX 65536u

// Keeps what has come of a head for the next read. False when out of memory.
static bool head_keep(struct conn *c, const char *bytes, size_t len, const struct http_scan *scan)
{
    struct conn_head *head = malloc(sizeof *head + len);
    if (!head)
        return false;
    *head = (struct conn_head){.len = len, .scan = *scan};
    memcpy(head->bytes, bytes, len);
    c->head = head;
    return true;
}

static void start_head_deadline(struct conn *c)
{
    conn_set_deadline(c, conn_context(c)->settings->head_timeout_ms);
}

// Requests one after another, while the connection is one that may send another.
static void take_requests(struct conn *c, char *bytes, size_t len, struct http_scan scan)
{
    for (bool first = true; c->state == CONN_HEAD && len > 0; first = false) {
        size_t used = request_read(c, bytes, &len, &scan);
        if (used == 0) {
            if (!head_keep(c, bytes, len, &scan))
                conn_close(c, CLOSE_OUT_OF_MEMORY);
            else if (!first)
                start_head_deadline(c);
            return;
        }
        bytes += used;
        len -= used;
        scan = (struct http_scan){0};
    }
}

static void read_head(struct conn *c, char *bytes, size_t len)
{
    if (!c->head) {
        // From here the client has so long for its whole head: more bytes of it do not buy more time.
        start_head_deadline(c);
        take_requests(c, bytes, len, (struct http_scan){0});
        return;
    }
    struct conn_head *old = c->head;
    size_t total = old->len + len;
    char *whole = malloc(total);
    if (!whole) {
        conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    memcpy(whole, old->bytes, old->len);
    memcpy(whole + old->len, bytes, len);
    struct http_scan scan = old->scan;
    free(old);
    c->head = NULL;
    take_requests(c, whole, total, scan);
    free(whole);
}

void conn_read(struct conn *c)
{
    char bytes[HTTP_HEAD_MAX];
    ssize_t n = recv(c->io.fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c, n < 0 && conn_is_lost(errno) ? CLOSE_REAPED : CLOSE_CLIENT_GONE);
    } else if (c->state == CONN_HEAD) {
        read_head(c, bytes, (size_t)n);
    } else if (c->state == CONN_STREAM) {
        c->discarded += (uint64_t)n;
        if (c->discarded > NOISE_MAX)
            conn_close(c, CLOSE_NOISY);
    }
    // In other states it is thrown away: a deadline bounds for how long.
}
