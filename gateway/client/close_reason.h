// Why a client connection ended: names for logs, for `gateway:close` and for
// sse_gateway_closes_total{reason=".."}. Pure.
#pragma once

#define CLOSE_REASONS(X)                                                                                     \
    X(CLIENT_GONE, "client_gone")                                                                            \
    X(WRITE_FAILED, "write_failed")                                                                          \
    X(DRAIN, "drain")                                                                                        \
    X(REBALANCE, "rebalance")                                                                                \
    X(REAPED, "reaped")                                                                                      \
    X(REPLACED, "replaced")                                                                                  \
    X(REVOKED, "revoked")                                                                                    \
    X(EXPIRED, "expired")                                                                                    \
    X(AGE, "age")                                                                                            \
    X(SLOW, "slow")                                                                                          \
    X(ANSWERED, "answered")                                                                                  \
    X(BAD_REQUEST, "bad_request")                                                                            \
    X(REFUSED, "refused")                                                                                    \
    X(IDLE, "idle")                                                                                          \
    X(EVICTED, "evicted")                                                                                    \
    X(PROXY_HEADER, "proxy_header")                                                                          \
    X(HEAD_TIMEOUT, "head_timeout")                                                                          \
    X(HANDSHAKE_FAILED, "handshake_failed")                                                                  \
    X(NOISY, "noisy")                                                                                        \
    X(OUT_OF_MEMORY, "out_of_memory")                                                                        \
    X(STOPPED, "stopped")

enum close_reason {
#define X(symbol, name) CLOSE_##symbol,
    CLOSE_REASONS(X)
#undef X
        CLOSE_REASON_COUNT
};

const char *close_reason_name(enum close_reason reason);
