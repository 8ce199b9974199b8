// The counters of the gateway. One set per thread, written by that thread alone; the exporter reads all sets
// and sums them (process/metrics.c), so counting costs one plain add and no shared cache line.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

// symbol, Prometheus name (after "sse_gateway_"), labels, kind, help. Rows with the same name stand together.
#define COUNTERS(X)                                                                                          \
    X(STREAMS_OPEN, "connections", "", "gauge", "Event streams that are open")                               \
    X(STREAMS_OPENED, "connections_total", "", "counter", "Event streams opened since the start")            \
    X(STREAMS_DRAINED, "drained_connections_total", "", "counter", "Event streams that a drain ended")       \
    X(SOCKETS_ACCEPTED, "sockets_accepted_total", "", "counter", "Client connections accepted")              \
    X(SOCKETS_OPEN, "sockets", "", "gauge", "Client connections of any kind that are open")                  \
    X(REFUSED_NOT_READY, "refusals_total", "reason=\"not_ready\"", "counter", "Streams refused for a while") \
    X(REFUSED_FULL, "refusals_total", "reason=\"full\"", "counter", "")                                      \
    X(REFUSED_USER, "refusals_total", "reason=\"user_cap\"", "counter", "")                                  \
    X(REFUSED_ADDRESS, "refusals_total", "reason=\"ip_cap\"", "counter", "")                                 \
    X(REFUSED_RATE, "refusals_total", "reason=\"connect_rate\"", "counter", "")                              \
    X(TLS_FULL, "tls_handshakes_total", "kind=\"full\"", "counter", "TLS handshakes that were completed")    \
    X(TLS_RESUMED, "tls_handshakes_total", "kind=\"resumed\"", "counter", "")                                \
    X(TLS_FAILED_PROTOCOL, "tls_handshake_failures_total", "reason=\"protocol\"", "counter",                 \
      "TLS handshakes that failed")                                                                          \
    X(TLS_FAILED_CIPHER, "tls_handshake_failures_total", "reason=\"no_common_cipher\"", "counter", "")       \
    X(TLS_FAILED_ALPN, "tls_handshake_failures_total", "reason=\"no_common_application_protocol\"",          \
      "counter", "")                                                                                         \
    X(TLS_FAILED_CLIENT_CERTIFICATE, "tls_handshake_failures_total", "reason=\"client_certificate\"",        \
      "counter", "")                                                                                         \
    X(TLS_FAILED_ALERT, "tls_handshake_failures_total", "reason=\"refused_by_client\"", "counter", "")       \
    X(TLS_FAILED_PLAIN_HTTP, "tls_handshake_failures_total", "reason=\"plain_http\"", "counter", "")         \
    X(TLS_FAILED_RATE, "tls_handshake_failures_total", "reason=\"connect_rate\"", "counter", "")             \
    X(TLS_FAILED_CROWDED, "tls_handshake_failures_total", "reason=\"crowded\"", "counter", "")               \
    X(TLS_FAILED_TIMEOUT, "tls_handshake_failures_total", "reason=\"timeout\"", "counter", "")               \
    X(TLS_FAILED_GONE, "tls_handshake_failures_total", "reason=\"client_gone\"", "counter", "")              \
    X(TLS_FAILED_OTHER, "tls_handshake_failures_total", "reason=\"other\"", "counter", "")                   \
    X(TLS_POSTPONED, "tls_handshakes_postponed_total", "", "counter",                                        \
      "Turns of a loop that left handshakes to the next turn")                                               \
    X(ACCEPT_PAUSES, "accept_pauses_total", "", "counter", "Times accepting paused for want of descriptors") \
    X(TOKENS_ACCEPTED, "tokens_accepted_total", "", "counter", "Tokens that were good")                      \
    X(TOKENS_MALFORMED, "tokens_refused_total", "reason=\"malformed\"", "counter", "Tokens refused")         \
    X(TOKENS_ALGORITHM, "tokens_refused_total", "reason=\"algorithm\"", "counter", "")                       \
    X(TOKENS_UNKNOWN_KEY, "tokens_refused_total", "reason=\"unknown_key\"", "counter", "")                   \
    X(TOKENS_KEY_AWAITED, "tokens_refused_total", "reason=\"key_awaited\"", "counter", "")                   \
    X(TOKENS_SIGNATURE, "tokens_refused_total", "reason=\"signature\"", "counter", "")                       \
    X(TOKENS_EXPIRED, "tokens_refused_total", "reason=\"expired\"", "counter", "")                           \
    X(TOKENS_NOT_YET, "tokens_refused_total", "reason=\"not_yet\"", "counter", "")                           \
    X(TOKENS_ISSUER, "tokens_refused_total", "reason=\"issuer\"", "counter", "")                             \
    X(TOKENS_AUDIENCE, "tokens_refused_total", "reason=\"audience\"", "counter", "")                         \
    X(TOKENS_CLAIMS, "tokens_refused_total", "reason=\"claims\"", "counter", "")                             \
    X(TOKENS_NO_MEMORY, "tokens_refused_total", "reason=\"no_memory\"", "counter", "")                       \
    X(TICKETS_FAILED, "tickets_failed_total", "", "counter", "Tickets that could not be signed")             \
    X(MESSAGES_RECEIVED, "messages_received_total", "", "counter", "Messages received from Redis")           \
    X(MESSAGE_BYTES, "message_bytes_total", "", "counter", "Payload bytes received from Redis")              \
    X(DROPPED_TOO_LARGE, "messages_dropped_total", "reason=\"too_large\"", "counter", "Messages dropped")    \
    X(DROPPED_NOT_TEXT, "messages_dropped_total", "reason=\"not_text\"", "counter", "")                      \
    X(DROPPED_ENVELOPE, "messages_dropped_total", "reason=\"bad_envelope\"", "counter", "")                  \
    X(DROPPED_PLAIN, "messages_dropped_total", "reason=\"not_envelope\"", "counter", "")                     \
    X(DROPPED_BACKLOG, "messages_dropped_total", "reason=\"backlog\"", "counter", "")                        \
    X(DROPPED_MEMORY, "messages_dropped_total", "reason=\"out_of_memory\"", "counter", "")                   \
    X(DROPPED_UNWANTED, "messages_dropped_total", "reason=\"no_subscriber\"", "counter", "")                 \
    X(IDS_DROPPED, "ids_dropped_total", "", "counter",                                                       \
      "Ids of publishers left out: they could not come back")                                                \
    X(DELIVERIES, "deliveries_total", "", "counter", "Events handed to streams")                             \
    X(WRITES, "writes_total", "", "counter", "System calls that wrote to clients")                           \
    X(BYTES_SENT, "sent_bytes_total", "", "counter", "Bytes written to clients")                             \
    X(WRITES_BLOCKED, "writes_blocked_total", "", "counter", "Times a client's socket took less than all")   \
    X(SLOW_DROPPED, "events_dropped_total", "reason=\"slow_client\"", "counter",                             \
      "Events dropped for one client")                                                                       \
    X(HEARTBEATS, "heartbeats_total", "", "counter", "Heartbeats sent")                                      \
    X(GAPS, "gaps_total", "", "counter", "gateway:gap events made")                                          \
    X(HISTORY_READS, "history_reads_total", "", "counter", "Pages of history asked for")                     \
    X(FOREIGN_ENTRIES, "history_foreign_entries_total", "", "counter",                                       \
      "Entries of histories that sse_publish did not write")                                                 \
    X(REPLAY_BYTES, "replay_bytes", "", "gauge", "Memory of history kept for clients that resume")           \
    X(CONNECTION_BYTES, "connection_bytes", "", "gauge",                                                     \
      "Memory that client connections and their channels take")                                              \
    X(QUEUED_BYTES, "queued_bytes", "", "gauge", "Bytes that wait for slow clients")                         \
    X(SUBSCRIPTIONS, "subscriptions", "", "gauge", "Channels subscribed to in Redis")                        \
    X(REDIS_CONNECTS, "redis_connects_total", "", "counter", "Connections made to Redis")                    \
    X(REDIS_CONNECTED, "redis_connected", "", "gauge", "Subscriber connections to Redis that are up")        \
    X(REDIS_ERRORS, "redis_errors_total", "", "counter", "Error replies from Redis")                         \
    X(REVOCATIONS_KNOWN, "revocations_known", "", "gauge",                                                   \
      "1 while new streams with tokens need no question about revocations")                                  \
    X(ANNOUNCED, "announcements_sent_total", "", "counter",                                                  \
      "Announcements of this gateway to its tier that were published")                                       \
    X(ANNOUNCEMENTS, "announcements_received_total", "", "counter",                                          \
      "Announcements of gateways, this one included, that came")                                             \
    X(ANNOUNCEMENTS_DROPPED, "announcements_dropped_total", "", "counter",                                   \
      "Messages at the channel of announcements that were none, or of too many gateways")                    \
    X(CANARIES_SENT, "canaries_sent_total", "", "counter", "Canary messages published")                      \
    X(CANARIES_BACK, "canaries_received_total", "", "counter", "Canary messages that came back")

enum counter {
#define X(symbol, name, labels, kind, help) COUNTER_##symbol,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
};

// By the owning thread only. A gauge goes down by adding a negative number (the sum over threads stays
// right).
static inline void counter_add(struct counters *c, enum counter which, int64_t n)
{
    uint64_t now = atomic_load_explicit(&c->value[which], memory_order_relaxed);
    atomic_store_explicit(&c->value[which], now + (uint64_t)n, memory_order_relaxed);
}

static inline void counter_set(struct counters *c, enum counter which, uint64_t n)
{
    atomic_store_explicit(&c->value[which], n, memory_order_relaxed);
}

// Any thread.
static inline uint64_t counter_read(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}
