// The options that concern clients. Made once; immutable, and shared by all loops.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_response.h"
#include "gateway/client/peer_address.h"
#include "gateway/client/proxy_protocol.h"
#include "gateway/client/users.h"
#include "gateway/client/vouched.h"
#include "gateway/fanout/replay_budget.h"

struct admission_step;
struct authenticator;
struct connect_rate;
struct revocations;
struct ticket_keys;
struct tls_server;

struct client_settings {
    const char *stream_path;
    struct http_policy policy;
    const char *const *anonymous; // patterns of channels that need no token
    size_t anonymous_count;
    struct authenticator *authenticator; // shared by all loops; NULL: no token is known
    const char *token_cookie;            // where a token may be, too; NULL: nowhere
    const char *token_query;             // likewise, a parameter of the query
    size_t max_channels;                 // of one stream
    uint32_t heartbeat_ms, retry_ms;
    uint32_t retry_jitter_ms;            // up to so much more, in the first line of a stream
    uint64_t max_stream_age_ms;          // a tenth more or less; 0: a stream may be of any age
    size_t queue_limit;                  // bytes queued for one stream
    struct replay_budget *replay_budget; // shared by all loops
    bool durable_named;                  // --durable says which channels have a history, if only later
    bool drop_oldest;                    // --slow-client
    bool refuse_with_status;
    bool accounts;                     // each connection has a conn_account
    bool access_log;                   // a line for each stream that ended; needs `accounts`
    struct tls_server *tls;            // of listeners that have it; NULL where none has
    uint32_t head_timeout_ms;          // for a whole request head, from the accept or the first byte of it on
    uint32_t keep_alive_ms;            // for the next request's first byte
    struct users *users;               // shared by all loops; NULL: nobody needs them
    struct users_cap user_cap;         // of streams with one subject
    struct users_cap address_cap;      // of streams from one address
    struct connect_rate *connect_rate; // shared by all loops; NULL: off
    struct connect_rate *handshake_rate; // of TLS; likewise
    enum proxy_version proxy_protocol;   // of public listeners
    struct peer_ranges trusted;          // proxies that are believed
    struct vouched_headers vouched;
    struct ticket_keys *ticket_keys;        // NULL: there are no tickets
    uint64_t tier_cap;                      // streams of one subject at all gateways; 0: any number
    bool tier_replaces;                     // at that cap the oldest stream ends; else the new one is refused
    const char *lease_owner;                // names this process in the whole tier
    bool revocation;                        // Redis is asked whether a token is revoked; needs `users`
    const struct revocations *revocations;  // who may be revoked; NULL: Redis is asked about every token
    const struct admission_step *admission; // NULL: admission_steps
};

// Whether a cap or a revocation looks for streams.
static inline bool client_settings_need_users(const struct client_settings *s)
{
    return s->address_cap.max > 0 || s->user_cap.max > 0 || s->revocation;
}

// Whether an option asks where connections come from.
static inline bool client_settings_need_peers(const struct client_settings *s)
{
    return s->address_cap.max > 0 || s->connect_rate || s->trusted.count > 0 ||
           s->proxy_protocol != PROXY_OFF || s->accounts;
}
