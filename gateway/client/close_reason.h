// Why a client connection ended: names for logs, for `gateway:close` and for
// sse_gateway_closes_total{reason=".."}; meanings for docs/metrics.md. Pure.
#pragma once

#define CLOSE_REASONS(X)                                                                                     \
    X(CLIENT_GONE, "client_gone", "The client closed; normal")                                               \
    X(WRITE_FAILED, "write_failed", "The client reset the connection; normal")                               \
    X(DRAIN, "drain", "Ended by SIGTERM")                                                                    \
    X(REBALANCE, "rebalance", "Moved: ended for another gateway to get it")                                  \
    X(REAPED, "reaped", "The network to the client is gone, or nothing was acknowledged for 18 s")           \
    X(REPLACED, "replaced", "A newer stream of the same user took its place")                                \
    X(REVOKED, "revoked", "The user or the token was revoked")                                               \
    X(EXPIRED, "expired", "The token ended")                                                                 \
    X(AGE, "age", "As old as `--max-stream-age`")                                                            \
    X(ENDED, "ended", "All channels of the stream have ended: it was closed, or answered 204")               \
    X(READ, "read", "Read once (`live=0`, `wait`): the client has had what there was; normal")               \
    X(SLOW, "slow", "Over `--queue-limit`, or no progress in a heartbeat interval")                          \
    X(ANSWERED, "answered", "An answer that ends its connection: pages, HEAD, OPTIONS")                      \
    X(BAD_REQUEST, "bad_request", "A request that is answered with a 4xx or 5xx")                            \
    X(REFUSED, "refused",                                                                                    \
      "A refusal that may pass: full, draining, not ready, or a channel that Redis did not confirm in 5 s; " \
      "or a read (`live=0`) for which Redis did not answer in a heartbeat interval")                         \
    X(IDLE, "idle", "No further request came for 60 s on a connection that was kept alive; normal")          \
    X(EVICTED, "evicted", "Too many connections: the one without a stream that was idle longest was closed") \
    X(PROXY_HEADER, "proxy_header", "No good PROXY header, or not from a trusted proxy")                     \
    X(HEAD_TIMEOUT, "head_timeout",                                                                          \
      "No request came on a new connection, or the TLS handshake took too long")                             \
    X(HANDSHAKE_FAILED, "handshake_failed",                                                                  \
      "The TLS handshake failed: `sse_gateway_tls_handshake_failures_total` says why")                       \
    X(NOISY, "noisy", "The client of a stream sent more than 4 KiB behind its request")                      \
    X(OUT_OF_MEMORY, "out_of_memory",                                                                        \
      "No memory for the connection, at the accept or later, or no epoll watch "                             \
      "(`fs.epoll.max_user_watches`)")                                                                       \
    X(STOPPED, "stopped", "Cut at the exit")

enum close_reason {
#define X(symbol, name, meaning) CLOSE_##symbol,
    CLOSE_REASONS(X)
#undef X
        CLOSE_REASON_COUNT
};

const char *close_reason_name(enum close_reason reason);
