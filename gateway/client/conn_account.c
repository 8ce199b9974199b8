#include "gateway/client/conn_account.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/auth/principal.h"
#include "gateway/client/conn_tls.h"

// Names of channels in one line; of more there is the count alone.
#define CHANNELS_NAMED 8u

size_t conn_block_size(const struct client_settings *settings, bool is_tls)
{
    size_t conn = is_tls ? sizeof(struct conn_tls) : sizeof(struct conn);
    return conn + (settings->accounts ? sizeof(struct conn_account) : 0);
}

struct conn_account *conn_account(const struct conn *c)
{
    static_assert(sizeof(struct conn) % _Alignof(struct conn_account) == 0, "an account may follow");
    static_assert(sizeof(struct conn_tls) % _Alignof(struct conn_account) == 0, "an account may follow");
    if (!conn_context(c)->accounts)
        return NULL;
    char *behind = (char *)c + (c->is_tls ? sizeof(struct conn_tls) : sizeof(struct conn));
    return (struct conn_account *)(void *)behind;
}

void conn_account_move(struct conn *c, enum conn_state next)
{
    struct conn_account *a = conn_account(c);
    if (next == CONN_STREAM)
        a->opened_ms = clock_monotonic_ms();
    else if (c->state == CONN_STREAM)
        a->ended_ms = clock_monotonic_ms();
}

void conn_id_print(const struct conn *c, char text[CONN_ID_TEXT])
{
    snprintf(text, CONN_ID_TEXT, "%u.%" PRIu64, conn_context(c)->index, (uint64_t)c->serial);
}

static void print_client(const struct conn *c, const struct conn_account *a, char text[PEER_ADDRESS_TEXT])
{
    const struct peer_address unknown = {.family = ADDRESS_NONE};
    const struct peer_address *client = &unknown;
    if (c->joined)
        client = &a->client;
    else if (c->peer)
        client = c->peer->client.family == ADDRESS_NONE ? &c->peer->socket : &c->peer->client;
    peer_address_print(client, text);
}

// Names of channels have neither commas nor spaces.
static void print_channels(const struct subscriber *s, char text[LOG_FIELD_MAX])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < s->count && i < CHANNELS_NAMED; i++) {
        struct channel_ref name = hub_channel_name(s, i);
        int n = snprintf(text + used, LOG_FIELD_MAX - used, "%s%.*s", i ? "," : "", (int)name.len, name.name);
        if (n < 0 || used + (size_t)n >= LOG_FIELD_MAX) {
            text[used] = '\0'; // whole names alone
            return;
        }
        used += (size_t)n;
    }
}

static void log_access(const struct conn *c, const struct conn_account *a, const char *id, const char *client)
{
    char channels[LOG_FIELD_MAX];
    print_channels(&c->subscriber, channels);
    const struct log_field fields[] = {
        LOG_TEXT("connection", id),
        LOG_TEXT("remote", client),
        LOG_TEXT("subject", c->principal ? c->principal->subject : NULL),
        LOG_TEXT("channels", channels),
        LOG_NUMBER("channel_count", c->subscriber.count),
        LOG_NUMBER("duration_ms", a->ended_ms - a->opened_ms),
        LOG_NUMBER("events", a->events),
        LOG_NUMBER("bytes", a->bytes),
        LOG_BOOL("resumed", a->resumed),
        LOG_TEXT("reason", close_reason_name(c->reason)),
    };
    log_fields(LOG_LEVEL_INFO, "access", "stream ended", fields, sizeof fields / sizeof *fields);
}

static void log_debug_end(const struct conn *c, const struct conn_account *a, const char *id,
                          const char *client)
{
    const struct log_field fields[] = {
        LOG_TEXT("connection", id),
        LOG_TEXT("reason", close_reason_name(c->reason)),
        LOG_TEXT("remote", client),
        LOG_NUMBER("duration_ms", a ? clock_monotonic_ms() - a->accepted_ms : 0),
        LOG_NUMBER("events", a ? a->events : 0),
        LOG_NUMBER("bytes", a ? a->bytes : 0),
    };
    size_t known = a ? sizeof fields / sizeof *fields : 2;
    log_fields(LOG_LEVEL_DEBUG, "client", "connection ended", fields, known);
}

void conn_log_end(const struct conn *c)
{
    const struct conn_account *a = conn_account(c);
    bool debug = log_has_level(LOG_LEVEL_DEBUG);
    bool access = conn_context(c)->settings->access_log && c->is_stream;
    char id[CONN_ID_TEXT], client[PEER_ADDRESS_TEXT] = "";
    if (!debug && !access)
        return;
    conn_id_print(c, id);
    if (a)
        print_client(c, a, client);
    if (debug)
        log_debug_end(c, a, id, client);
    if (access)
        log_access(c, a, id, client);
}
