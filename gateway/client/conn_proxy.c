#include "gateway/client/conn_proxy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/proxy_protocol.h"

static void refuse(struct conn *c, const char *why)
{
    char from[PEER_ADDRESS_TEXT], id[CONN_ID_TEXT];
    peer_address_print(&c->peer->socket, from);
    conn_id_print(c, id);
    log_warn("proxy", "connection %s from %s %s", id, from, why);
    conn_close(c, CLOSE_PROXY_HEADER);
}

void conn_proxy_begin(struct conn *c)
{
    const struct client_settings *settings = conn_context(c)->settings;
    assert(c->state == CONN_PROXY && c->peer);
    if (settings->trusted.count > 0 && !peer_ranges_have(&settings->trusted, &c->peer->socket))
        refuse(c, "was closed: --trusted-proxy does not name it, so its PROXY header counts for nothing");
}

void conn_proxy_timeout(struct conn *c)
{
    refuse(c, "was closed: its PROXY header did not come in time (--proxy-protocol)");
}

// Takes the `len` bytes that were looked at off the socket. Returns how many of them it gave.
static size_t take(struct conn *c, char *bytes, size_t len)
{
    ssize_t n = recv(c->io.fd, bytes, len, 0);
    return n > 0 ? (size_t)n : 0; // an error comes again with the next read
}

void conn_proxy_read(struct conn *c)
{
    char bytes[PROXY_HEADER_MAX];
    size_t kept = c->head ? c->head->bytes.len : 0, header_len = 0;
    struct peer_address from;
    assert(c->state == CONN_PROXY && kept < sizeof bytes);
    if (kept > 0)
        memcpy(bytes, c->head->bytes.data, kept);
    ssize_t n = recv(c->io.fd, bytes + kept, sizeof bytes - kept, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c, n < 0 && conn_is_lost(errno) ? CLOSE_REAPED : CLOSE_CLIENT_GONE);
        return;
    }
    enum proxy_parse result = proxy_header_parse(
        bytes, kept + (size_t)n, conn_context(c)->settings->proxy_protocol, &from, &header_len);
    if (result == PROXY_BAD) {
        refuse(c, "was closed: it began with no PROXY header of --proxy-protocol");
        return;
    }
    size_t wanted = result == PROXY_DONE ? header_len - kept : (size_t)n;
    size_t taken = take(c, bytes + kept, wanted);
    if (result == PROXY_MORE || taken < wanted) {
        if (!conn_head_append(conn_context(c), &c->head, bytes + kept, taken))
            conn_close(c, CLOSE_OUT_OF_MEMORY);
        return;
    }
    c->peer->socket = from;
    conn_set_state(c, conn_after_proxy(c));
}
