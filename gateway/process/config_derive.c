#include "gateway/process/config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "common/tls.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/ticket_keys.h"
#include "gateway/client/listen_address.h"
#include "gateway/process/config_check.h"
#include "gateway/process/origin.h"
#include "gateway/threads/worker.h"

static bool derive_payload(struct config *c, char *error, size_t error_size)
{
    c->payload.rules = calloc(c->payload_rules.count + 1, sizeof *c->payload.rules);
    if (!c->payload.rules)
        return false;
    char ignored[128]; // each was checked when the options were read
    for (size_t i = 0; i < c->payload_rules.count; i++, c->payload.count++) {
        if (i > 0 && strcmp(c->payload.rules[i - 1].pattern, "*") == 0) {
            snprintf(error, error_size,
                     "--payload: the first rule that matches counts, and %.32s matches every channel: put it "
                     "last",
                     c->payload_rules.items[i - 1]);
            return false;
        }
        if (!payload_rule_parse(c->payload_rules.items[i], &c->payload.rules[i], ignored, sizeof ignored))
            return false;
    }
    return true;
}

static bool derive_trusted(struct config *c)
{
    struct peer_range *ranges = calloc(c->trusted_proxy.count + 1, sizeof *ranges);
    if (!ranges)
        return false;
    c->trusted.items = ranges;
    for (; c->trusted.count < c->trusted_proxy.count; c->trusted.count++)
        (void)peer_range_parse(&ranges[c->trusted.count],
                               c->trusted_proxy.items[c->trusted.count]); // checked
    return true;
}

static bool derive_origins(struct config *c)
{
    for (size_t i = 0; i < c->cors_origin.count; i++) {
        char normal[ORIGIN_SIZE], ignored[256]; // each was checked when the options were read
        char *copy = origin_normalise(c->cors_origin.items[i], normal, ignored, sizeof ignored)
                         ? strdup(normal)
                         : NULL;
        if (!copy)
            return false;
        free(c->cors_origin.items[i]);
        c->cors_origin.items[i] = copy;
    }
    return true;
}

// Without --durable any channel may have a history; "off" is none.
static void derive_durable(struct config *c)
{
    static const char *const any[] = {"*"};
    bool off = c->durable.count == 1 && strcmp(c->durable.items[0], "off") == 0;
    c->durable_named = c->durable.count > 0 && !off;
    c->durable_patterns = any;
    c->durable_count = off ? 0 : 1;
    if (c->durable_named) {
        c->durable_patterns = (const char *const *)c->durable.items;
        c->durable_count = c->durable.count;
    }
}

// "host:port", made of bytes that an id may have: the path of a unix socket may hold anything.
static bool derive_name(struct config *c, char *error, size_t error_size)
{
    if (c->id) {
        snprintf(c->name, sizeof c->name, "%s", c->id);
        return true;
    }
    char host[256];
    if (gethostname(host, sizeof host) != 0) {
        snprintf(error, error_size, "this machine has no usable name (%s); name this gateway with --id NAME",
                 strerror(errno));
        return false;
    }
    host[sizeof host - 1] = '\0';
    const char *port = strrchr(c->listen.items[0], ':');
    snprintf(c->name, sizeof c->name, "%.100s%.20s", host, port ? port : "");
    for (char *at = c->name; *at; at++)
        if (!config_is_id_byte(*at))
            *at = '_';
    return true;
}

static bool derive_listen_access(struct config *c, char *error, size_t error_size)
{
    c->listen_access.group = LISTEN_GROUP_OWN;
    bool known = !c->listen_group || listen_access_group(c->listen_group, &c->listen_access.group);
    if (!known) // the group is gone: it was found when the options were read
        snprintf(error, error_size, "--listen-group: \"%.64s\" is no group that this machine knows",
                 c->listen_group);
    return known && listen_access_mode(c->listen_mode, &c->listen_access.mode);
}

static void derive_rebalance(struct config *c)
{
    // Each was checked when the options were read.
    (void)config_read_tolerance(c->rebalance_tolerance, &c->tolerance);
    (void)config_read_rate(c->rebalance_rate, &c->rebalance_per_s);
}

static void derive_defaults(struct config *c)
{
    cpu_set_t cpus;
    // The cores that this process may use, which in a container are fewer than the machine's.
    if (c->workers == OPTION_UNSET)
        c->workers = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (uint64_t)CPU_COUNT(&cpus) : 1;
    if (c->workers > WORKERS_MAX)
        c->workers = WORKERS_MAX;
    if (c->log_format < 0)
        c->log_format = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

// False where the list holds `word`, which is only allowed alone, beside other items.
static bool stands_alone(const struct option_list *list, const char *word, const char *option, char *error,
                         size_t error_size)
{
    for (size_t i = 0; list->count > 1 && i < list->count; i++) {
        if (strcmp(list->items[i], word) == 0) {
            snprintf(error, error_size, "--%s: %s stands alone or not at all", option, word);
            return false;
        }
    }
    return true;
}

static bool has_keys(const struct config *c)
{
    return c->jwt_secret_file || c->jwt_keys.count > 0 || c->jwks;
}

static bool derive_authenticator(struct config *c, char *error, size_t error_size)
{
    struct authenticator_settings settings = {
        .secret_file = c->jwt_secret_file,
        .key_files = (const char *const *)c->jwt_keys.items,
        .key_file_count = c->jwt_keys.count,
        .jwks = c->jwks,
        .jwks_ca = c->jwks_ca,
        .algorithms = c->jwt_algorithms.count > 0 ? 0 : JWT_ALL,
        .policy = {.issuer = c->jwt_issuer,
                   .audiences = (const char *const *)c->jwt_audiences.items,
                   .audience_count = c->jwt_audiences.count,
                   .channels_claim = c->channels_claim,
                   .grants = (const char *const *)c->grants.items,
                   .grant_count = c->grants.count},
    };
    for (size_t i = 0; i < c->jwt_algorithms.count; i++)
        if (!jwt_algorithms_add(c->jwt_algorithms.items[i], &settings.algorithms))
            return false; // each was checked when the options were read
    if (has_keys(c))
        c->authenticator = authenticator_create(&settings, error, error_size);
    return !has_keys(c) || c->authenticator;
}

static bool derive_tier_cap(struct config *c, char *error, size_t error_size)
{
    unsigned char bytes[16];
    if (c->user_cap_scope != USER_CAP_TIER)
        return true;
    if (c->max_per_user == 0) {
        snprintf(error, error_size,
                 "--user-cap-scope tier: say how many streams with --max-connections-per-user");
        return false;
    }
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        snprintf(error, error_size, "--user-cap-scope tier: there are no random numbers");
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(c->lease_owner + 2 * i, 3, "%02x", bytes[i]);
    c->tier_cap = c->max_per_user;
    return true;
}

static bool derive_tickets(struct config *c, char *error, size_t error_size)
{
    c->revokes = (has_keys(c) || c->channels_header || c->subject_header) && c->revocation == REVOCATION_ON;
    if (!c->ticket_key_file)
        return true;
    if (!has_keys(c)) {
        snprintf(error, error_size,
                 "--ticket-key-file: a ticket is given for a token, and none can be verified; add "
                 "--jwt-secret-file, --jwt-key or --jwks");
        return false;
    }
    c->ticket_keys = ticket_keys_create(c->ticket_key_file, error, error_size);
    return c->ticket_keys != NULL;
}

#define DRAIN_WINDOW_MS 10000u
#define DRAIN_SPARE_MS                                                                                       \
    100u // for the last streams of a window, whose ends come in steps, and their last bytes

// A window that nobody chose fits into the timeout, and leaves a fifth of the time to clients that are slow to take
// their last bytes. One that was chosen is a promise: better no start than streams that are cut at some deploy.
static bool derive_drain(struct config *c, char *error, size_t error_size)
{
    uint64_t room = c->drain_timeout_ms > c->drain_delay_ms ? c->drain_timeout_ms - c->drain_delay_ms : 0;
    bool is_chosen = c->drain_window_ms != OPTION_UNSET;
    if (!is_chosen)
        c->drain_window_ms = room / 5 * 4 < DRAIN_WINDOW_MS ? room / 5 * 4 : DRAIN_WINDOW_MS;
    uint64_t spare = is_chosen && c->drain_window_ms > 0 ? DRAIN_SPARE_MS : 0;
    if (c->drain_delay_ms + c->drain_window_ms + spare <= c->drain_timeout_ms)
        return true;
    snprintf(error, error_size, "%s: streams would be cut; raise --drain-timeout",
             is_chosen ? "--drain-delay and --drain-window together leave less than 100 ms of --drain-timeout"
                       : "--drain-delay is longer than --drain-timeout");
    return false;
}

static bool check_listen(const struct config *c, char *error, size_t error_size)
{
    if (c->listen.count > 0 && c->listen.count <= LISTEN_MAX)
        return true;
    snprintf(error, error_size, "--listen: give 1 to %d addresses", LISTEN_MAX);
    return false;
}

static bool check_whole(const struct config *c, char *error, size_t error_size)
{
    if (!check_listen(c, error, error_size))
        return false;
    if (!stands_alone(&c->cors_origin, "*", "cors-origin", error, error_size) ||
        !stands_alone(&c->durable, "off", "durable", error, error_size))
        return false;
    if (c->jwks_ca && !jwks_is_url(c->jwks)) {
        snprintf(error, error_size, "--jwks-ca is of no use without --jwks https://..");
        return false;
    }
    if ((c->channels_header || c->subject_header) && c->trusted_proxy.count == 0) {
        snprintf(error, error_size, "--%s-header: nobody is believed: name the proxy with --trusted-proxy",
                 c->channels_header ? "channels" : "subject");
        return false;
    }
    if (c->connect_burst > 0 && c->connect_rate == 0) {
        snprintf(error, error_size, "--connect-burst: give --connect-rate, too");
        return false;
    }
    if (c->anonymous.count == 0 && !has_keys(c) && !c->channels_header) {
        snprintf(error, error_size,
                 "nobody could subscribe to anything: open channels to all with --anonymous PATTERN (for "
                 "example --anonymous 'public:*'), or to tokens with --jwt-secret-file, --jwt-key or --jwks");
        return false;
    }
    return true;
}

static bool derive_redis(struct config *c, char *error, size_t error_size)
{
    struct redis_url *url = &c->redis_url;
    if (!redis_options_url(&c->redis, url, error, error_size))
        return false;
    // Read once, not for every connection: a file that is being replaced cannot cut the gateway off.
    if (url->tls)
        url->tls_context = tls_context_create(&url->tls_files, "redis", error, error_size);
    return !url->tls || url->tls_context;
}

static bool derive_tls(struct config *c, char *error, size_t error_size)
{
    const struct tls_server_files files = {.certs = (const char *const *)c->tls_cert.items,
                                           .keys = (const char *const *)c->tls_key.items,
                                           .count = c->tls_cert.count,
                                           .client_ca = c->tls_client_ca,
                                           .ticket_keys = c->tls_ticket_keys};
    if (c->tls_cert.count != c->tls_key.count) {
        snprintf(error, error_size,
                 "--tls-cert and --tls-key are pairs: %zu certificates and %zu keys are given",
                 c->tls_cert.count, c->tls_key.count);
        return false;
    }
    if (files.count == 0) {
        bool alone = c->tls_client_ca || c->tls_ticket_keys;
        if (alone)
            snprintf(error, error_size, "--%s needs --tls-cert and --tls-key",
                     c->tls_client_ca ? "tls-client-ca" : "tls-ticket-keys");
        return !alone;
    }
    c->tls = tls_server_create(&files, error, error_size);
    return c->tls != NULL;
}

// On failure `error` is as it was where memory ran out.
static bool derive(struct config *c, char *error, size_t error_size)
{
    if (!check_whole(c, error, error_size) || !derive_redis(c, error, error_size) ||
        !derive_payload(c, error, error_size) || !derive_origins(c) || !derive_trusted(c) ||
        !derive_name(c, error, error_size) || !derive_listen_access(c, error, error_size) ||
        !derive_drain(c, error, error_size) || !derive_tls(c, error, error_size) ||
        !derive_authenticator(c, error, error_size) || !derive_tickets(c, error, error_size) ||
        !derive_tier_cap(c, error, error_size))
        return false;
    derive_defaults(c);
    derive_durable(c);
    derive_rebalance(c);
    return true;
}

bool config_load(struct config *c, int argc, char **argv, char *error, size_t error_size)
{
    int first;
    *c = (struct config){0};
    if (!options_load(config_options(), argc, argv, c, &first, error, error_size))
        return false;
    if (c->help || c->version)
        return true;
    snprintf(error, error_size, "out of memory");
    bool ok = true;
    if (first < argc) {
        snprintf(error, error_size, "\"%s\" is no option; try --help", argv[first]);
        ok = false;
    }
    // A health check reads no file of keys: that one is being replaced says nothing about the gateway that runs.
    if (ok)
        ok = c->healthcheck ? check_listen(c, error, error_size) : derive(c, error, error_size);
    if (!ok)
        config_free(c);
    return ok;
}

void config_free(struct config *c)
{
    ticket_keys_destroy(c->ticket_keys);
    authenticator_destroy(c->authenticator);
    tls_server_destroy(c->tls);
    tls_context_destroy(c->redis_url.tls_context);
    redis_url_deinit(&c->redis_url);
    payload_policy_deinit(&c->payload);
    free((void *)c->trusted.items); // this owns it; whoever matches addresses only reads
    options_free(config_options(), c);
}
