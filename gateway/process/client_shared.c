#include "gateway/process/client_shared.h"

#include <string.h>

#include "common/log.h"
#include "gateway/client/connect_rate.h"
#include "gateway/fanout/revocations.h"

#define HEAD_TIMEOUT_MS 10000u
#define KEEP_ALIVE_MS 60000u

static const char *off_is_none(const char *value)
{
    return strcmp(value, "off") == 0 ? NULL : value;
}

static struct client_settings settings_of(struct client_shared *s, const struct config *c)
{
    bool replaces = c->user_cap_policy == USER_CAP_OLDEST;
    return (struct client_settings){
        .stream_path = c->path,
        .policy = {.gateway_id = c->name,
                   .cors_origins = (const char *const *)c->cors_origin.items,
                   .cors_origin_count = c->cors_origin.count},
        .anonymous = (const char *const *)c->anonymous.items,
        .anonymous_count = c->anonymous.count,
        .authenticator = c->authenticator,
        .ticket_keys = c->ticket_keys,
        .revocation = c->revokes,
        .revocations = s->revocations,
        .tier_cap = c->tier_cap,
        .tier_replaces = replaces,
        .lease_owner = c->lease_owner,
        .token_cookie = off_is_none(c->token_cookie),
        .token_query = off_is_none(c->token_query),
        .max_channels = c->max_channels,
        .heartbeat_ms = (uint32_t)c->heartbeat_ms,
        .retry_ms = (uint32_t)c->retry_ms,
        .retry_jitter_ms = (uint32_t)c->retry_jitter_ms,
        .max_stream_age_ms = c->max_stream_age_ms,
        .queue_limit = c->queue_limit,
        .replay_budget = &s->replay_budget,
        .durable_named = c->durable_named,
        .drop_oldest = c->slow_client == SLOW_CLIENT_DROP_OLDEST,
        // Which stream is the oldest in the tier is known in Redis alone.
        .user_cap = {.max = replaces && c->tier_cap > 0 ? 0 : c->max_per_user, .replace_oldest = replaces},
        .address_cap = {.max = c->max_per_ip},
        .proxy_protocol = (enum proxy_version)c->proxy_protocol,
        .trusted = c->trusted,
        .vouched = {.channels = c->channels_header, .subject = c->subject_header},
        .accounts = c->access_log || c->log_level == LOG_LEVEL_DEBUG,
        .access_log = c->access_log,
        .refuse_with_status = c->refusal == REFUSAL_STATUS,
        .tls = c->tls,
        .head_timeout_ms = HEAD_TIMEOUT_MS,
        .keep_alive_ms = KEEP_ALIVE_MS,
    };
}

static bool create_connect_rate(struct client_settings *s, const struct config *c)
{
    if (c->connect_rate == 0)
        return true;
    uint32_t rate = (uint32_t)c->connect_rate;
    uint32_t burst = (uint32_t)(c->connect_burst ? c->connect_burst : c->connect_rate);
    s->connect_rate = connect_rate_create(rate, burst);
    s->handshake_rate = c->tls ? connect_rate_for_handshakes(rate, burst) : NULL;
    return s->connect_rate && (s->handshake_rate || !c->tls);
}

bool client_shared_create(struct client_shared *s, const struct config *c, const struct users_hooks *hooks)
{
    s->replay_budget.limit = c->replay_limit;
    s->revocations = c->revokes ? revocations_create() : NULL;
    s->settings = settings_of(s, c);
    bool is_rate_made = create_connect_rate(&s->settings, c);
    if (client_settings_need_users(&s->settings))
        s->settings.users = users_create(hooks);
    return is_rate_made && (s->revocations || !c->revokes) &&
           (s->settings.users || !client_settings_need_users(&s->settings));
}

void client_shared_destroy(struct client_shared *s)
{
    users_destroy(s->settings.users);
    revocations_destroy(s->revocations);
    connect_rate_destroy(s->settings.connect_rate);
    connect_rate_destroy(s->settings.handshake_rate);
}
