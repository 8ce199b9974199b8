// The gateway's options: the table, the values, and what follows from them. Read once, before any thread
// starts.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/options.h"
#include "common/redis_options.h"
#include "common/redis_url.h"
#include "common/tls_server.h"
#include "gateway/client/listen_address.h"
#include "gateway/client/peer_address.h"
#include "gateway/fanout/message.h"

struct config {
    // Filled by the option table.
    char *file, *id, *admin_listen, *path, *listen_mode, *listen_group;
    char *jwt_secret_file, *jwks, *jwks_ca, *jwt_issuer, *channels_claim, *token_cookie, *token_query,
        *ticket_key_file;
    struct redis_options redis;
    char *tls_client_ca, *tls_ticket_keys;
    struct option_list tls_cert, tls_key;
    struct option_list jwt_keys, jwt_audiences, jwt_algorithms, grants;
    char *channels_header, *subject_header;
    struct option_list trusted_proxy, listen, anonymous, cors_origin, payload_rules, durable;
    uint64_t workers, max_channels, max_connections, max_per_user, max_per_ip, connect_rate, connect_burst;
    uint64_t heartbeat_ms, retry_ms, retry_jitter_ms, max_stream_age_ms, drain_delay_ms, drain_window_ms,
        drain_timeout_ms;
    uint64_t queue_limit, max_message, backlog_limit, replay_limit, log_buffer;
    char *rebalance_tolerance, *rebalance_rate;
    uint64_t rebalance_settle_ms;
    int rebalance, revocation, refusal, slow_client, user_cap_policy, user_cap_scope, proxy_protocol,
        log_level, log_format;
    bool seccomp, show_channels, check_config, print_config, healthcheck, version, help;

    // Derived from them.
    char name[300]; // --id, or host:port
    struct listen_access listen_access;
    struct redis_url redis_url;
    struct authenticator *authenticator; // NULL: no key of tokens is configured
    struct ticket_keys *ticket_keys;     // NULL: there are no tickets
    uint64_t tier_cap;                   // of streams of a user, by leases; 0: none
    char lease_owner[33];                // names this process among all others
    double tolerance;                    // of --rebalance-tolerance
    uint64_t rebalance_per_s;            // of --rebalance-rate
    bool revokes;                        // users and tokens may be revoked
    struct tls_server *tls;              // of --tls-cert and --tls-key; NULL: the listeners speak plain HTTP
    struct payload_policy payload;
    struct peer_ranges trusted;          // of --trusted-proxy
    const char *const *durable_patterns; // of --durable, or of all channels
    size_t durable_count;                // 0: --durable off
    bool durable_named;                  // --durable names patterns
};

enum revocation { REVOCATION_OFF, REVOCATION_ON };
enum slow_client { SLOW_CLIENT_CLOSE, SLOW_CLIENT_DROP_OLDEST };
enum user_cap_scope { USER_CAP_GATEWAY, USER_CAP_TIER };
enum user_cap_policy { USER_CAP_REFUSE, USER_CAP_OLDEST };
enum refusal { REFUSAL_RETRY, REFUSAL_STATUS };

// The table, for --help, the manual and the tests of both.
const struct option_table *config_options(void);

// Reads flags, environment and file. On failure false, and one line in `error`; nothing is left to free then.
bool config_load(struct config *config, int argc, char **argv, char *error, size_t error_size);
void config_free(struct config *config);
