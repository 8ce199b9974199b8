#include "gateway/process/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"
#include "gateway/client/listen_address.h"
#include "gateway/process/config_derive.h"
#include "gateway/process/origin.h"
#include "gateway/threads/worker.h"

static const char *const pubsubs[] = {"auto", "classic", "sharded", NULL};
static const char *const slow_clients[] = {"close", "drop-oldest", NULL};
static const char *const refusals[] = {"retry", "status", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static bool check_pattern(const char *text, char *error, size_t error_size)
{
    if (pattern_valid(text))
        return true;
    snprintf(error, error_size, "is no channel pattern; write for example news or public:*");
    return false;
}

// "off" is not taken as a pattern: it means that no channel has a history.
static bool check_durable(const char *text, char *error, size_t error_size)
{
    return strcmp(text, "off") == 0 || check_pattern(text, error, error_size);
}

static bool check_payload(const char *text, char *error, size_t error_size)
{
    struct payload_rule rule;
    if (!payload_rule_parse(text, &rule, error, error_size))
        return false;
    free(rule.pattern);
    return true;
}

static bool check_listen_mode(const char *text, char *error, size_t error_size)
{
    mode_t mode;
    snprintf(error, error_size, "is no mode of a file; write for example 0660");
    return listen_access_mode(text, &mode);
}

static bool check_listen_group(const char *text, char *error, size_t error_size)
{
    gid_t group;
    snprintf(error, error_size, "is no group that this machine knows");
    return listen_access_group(text, &group);
}

static bool check_admin_listen(const char *text, char *error, size_t error_size)
{
    return strcmp(text, "off") == 0 || listen_address_check(text, error, error_size);
}

static bool check_origin(const char *text, char *error, size_t error_size)
{
    char normal[ORIGIN_SIZE];
    return origin_normalise(text, normal, error, error_size);
}

// Pages of the gateway's own, which streams at their path or below it would hide.
static bool is_page(const char *path)
{
    static const char *const pages[] = {"/health", "/metrics", "/dashboard"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t len = strlen(pages[i]);
        if (strncmp(path, pages[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

// Browsers write other bytes than these with a %, and leave out what is "." or "..", so that streams at such
// a path would never be found.
static bool check_path(const char *text, char *error, size_t error_size)
{
    size_t len = strlen(text);
    bool ok = len >= 2 && text[0] == '/' && text[len - 1] != '/' && !strpbrk(text, "?#%\"<>\\^`{|}");
    for (const char *at = text; *at; at++) {
        size_t dots = *at == '/' ? strspn(at + 1, ".") : 0;
        ok = ok && *at > ' ' && *at <= '~' &&
             !((dots == 1 || dots == 2) && (at[1 + dots] == '/' || at[1 + dots] == '\0'));
    }
    if (ok && is_page(text))
        snprintf(error, error_size,
                 "is where the gateway has pages of its own (/health, /metrics, /dashboard); write for "
                 "example /stream");
    else if (!ok)
        snprintf(error, error_size, "is no path for streams; write for example /stream");
    return ok && !is_page(text);
}

bool config_is_id_byte(char c)
{
    return c > ' ' && c <= '~' && c != '"' && c != '\\';
}

static bool check_id(const char *text, char *error, size_t error_size)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!config_is_id_byte(text[i]))
            len = 0;
    if (len >= 1 && len <= 128)
        return true;
    snprintf(error, error_size,
             "is no id; use 1 to 128 printable ASCII characters without blanks and quotes");
    return false;
}

#define AT(field) .offset = offsetof(struct config, field)

static const struct option_spec specs[] = {
    {.name = "config",
     .argument = "FILE",
     .group = "General",
     .type = OPTION_STRING,
     AT(file),
     .help = "INI file with any of these options as keys"},
    {.name = "check-config",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(check_config),
     .help = "Check the options and exit"},
    {.name = "print-config",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(print_config),
     .help = "Print the options in force as an INI file and exit"},
    {.name = "version",
     .letter = 'V',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(version),
     .help = "Print the version and exit"},
    {.name = "help",
     .letter = 'h',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(help),
     .help = "Print this and exit"},
    {.name = "id",
     .argument = "NAME",
     .type = OPTION_STRING,
     AT(id),
     .default_note = "host:port",
     .check = check_id,
     .help = "Name of this gateway in logs, metrics and X-SSE-Gateway"},
    {.name = "workers",
     .argument = "N",
     .type = OPTION_UINT,
     AT(workers),
     .default_note = "number of cores",
     .min = 1,
     .max = WORKERS_MAX,
     .help = "Threads that serve clients, each with its own loop"},

    {.name = "listen",
     .argument = "ADDR:PORT",
     .group = "Listening",
     .type = OPTION_LIST,
     AT(listen),
     .default_text = "0.0.0.0:8080",
     .check = listen_address_check,
     .help = "Where clients connect: ADDR:PORT, [V6]:PORT or unix:PATH; repeatable"},
    {.name = "admin-listen",
     .argument = "ADDR:PORT",
     .type = OPTION_STRING,
     AT(admin_listen),
     .default_text = "127.0.0.1:9180",
     .check = check_admin_listen,
     .help = "Where metrics are served; off for nowhere"},
    {.name = "listen-mode",
     .argument = "MODE",
     .type = OPTION_STRING,
     AT(listen_mode),
     .default_text = "0660",
     .check = check_listen_mode,
     .help =
         "Mode of the files of unix sockets, of both options above, in octal digits: who may write to one "
         "may connect"},
    {.name = "listen-group",
     .argument = "NAME",
     .type = OPTION_STRING,
     AT(listen_group),
     .default_note = "that of the process",
     .check = check_listen_group,
     .help = "Group of these files, for example that of a proxy"},
    {.name = "path",
     .argument = "PATH",
     .type = OPTION_STRING,
     AT(path),
     .default_text = "/stream",
     .check = check_path,
     .help = "Path of the event streams"},

    {.name = "tls-cert",
     .argument = "FILE",
     .group = "TLS",
     .type = OPTION_LIST,
     AT(tls_cert),
     .help =
         "Clients connect by HTTPS: certificate (PEM), with those that lead to its CA; repeatable, the one "
         "whose names have what a client asks for counts, or the first"},
    {.name = "tls-key",
     .argument = "FILE",
     .type = OPTION_LIST,
     AT(tls_key),
     .help = "Private key (PEM) of the --tls-cert in the same place; repeatable"},
    {.name = "tls-client-ca",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(tls_client_ca),
     .help = "CAs (PEM) one of which must vouch for the certificate that each client has to show then"},
    {.name = "tls-ticket-keys",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(tls_ticket_keys),
     .default_note = "random ones of this process",
     .help = "Keys of session tickets, a line of 128 hexadecimal digits each, for gateways that resume each "
             "other's sessions: the first encrypts, all decrypt"},

    REDIS_OPTIONS(config, redis),
    {.name = "pubsub",
     .argument = "KIND",
     .type = OPTION_ENUM,
     AT(pubsub),
     .default_text = "auto",
     .names = pubsubs,
     .help = "Kind of Redis Pub/Sub: classic (PUBLISH), sharded (SPUBLISH), or auto: sharded on a cluster"},
    {.name = "max-message",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(max_message),
     .default_text = "1MiB",
     .min = 1,
     .max = 512u << 20,
     .help = "Larger messages are dropped and counted"},
    {.name = "payload",
     .argument = "RULE",
     .type = OPTION_LIST,
     AT(payload_rules),
     .check = check_payload,
     .default_note = "auto",
     .help = "What payloads may be: auto, text (everything is data) or envelope (nothing else is let in), or "
             "PATTERN=MODE for "
             "some channels; repeatable, the first that matches counts"},
    {.name = "durable",
     .argument = "PATTERN",
     .type = OPTION_LIST,
     AT(durable),
     .check = check_durable,
     .default_note = "any, once it has a history",
     .help = "Channels that have a history (see sse-publish --durable), * at the end of a pattern; "
             "repeatable, or off. Their streams get an id before the first event, so that not even that one "
             "can be missed; Redis is not asked for the history of others"},
    {.name = "replay-limit",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(replay_limit),
     .default_text = "64MiB",
     .min = 1 << 20,
     .max = (uint64_t)64 << 30,
     .help =
         "Memory for the newest events of durable channels, so that clients that come back at once share one "
         "reading"},
    {.name = "backlog-limit",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(backlog_limit),
     .default_text = "64MiB",
     .min = 1 << 20,
     .max = (uint64_t)64 << 30,
     .help = "Bytes of messages that may wait for one worker; more are dropped, counted and announced with "
             "gateway:gap"},

    {.name = "anonymous",
     .argument = "PATTERN",
     .group = "Access",
     .type = OPTION_LIST,
     AT(anonymous),
     .check = check_pattern,
     .help = "Channels open to all, * at the end of a pattern; repeatable"},
    {.name = "cors-origin",
     .argument = "ORIGIN",
     .type = OPTION_LIST,
     AT(cors_origin),
     .check = check_origin,
     .help = "Origin whose pages may read streams, or * for all without credentials; repeatable"},

    {.name = "max-connections",
     .argument = "N",
     .group = "Limits",
     .type = OPTION_UINT,
     AT(max_connections),
     .default_note = "what the limit of open files allows",
     .min = 1,
     .max = 100000000,
     .help = "Streams that the gateway holds; more are refused (see --refusal)"},
    {.name = "max-channels",
     .argument = "N",
     .type = OPTION_UINT,
     AT(max_channels),
     .default_text = "64",
     .min = 1,
     .max = 1024,
     .help = "Channels per stream"},
    {.name = "queue-limit",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(queue_limit),
     .default_text = "256KiB",
     .min = 1,
     .max = (uint64_t)1 << 30,
     .help = "Bytes that may wait for one client, beside the event on its way; then --slow-client decides"},
    {.name = "slow-client",
     .argument = "KIND",
     .type = OPTION_ENUM,
     AT(slow_client),
     .default_text = "close",
     .names = slow_clients,
     .help = "What happens over --queue-limit: close ends the stream, and the client comes back; drop-oldest "
             "drops whole "
             "events, oldest first, and sends gateway:gap in their place"},
    {.name = "refusal",
     .argument = "KIND",
     .type = OPTION_ENUM,
     AT(refusal),
     .default_text = "retry",
     .names = refusals,
     .help = "How to refuse for a while (draining, Redis not ready): retry answers 200 with a time to come "
             "back, which browsers "
             "heed; status answers 503, for a proxy that tries the next gateway"},

    {.name = "heartbeat",
     .argument = "TIME",
     .group = "Timing",
     .type = OPTION_DURATION,
     AT(heartbeat_ms),
     .default_text = "15s",
     .min = 250,
     .max = 86400000,
     .help = "A comment is sent on streams silent for so long"},
    {.name = "retry",
     .argument = "TIME",
     .type = OPTION_DURATION,
     AT(retry_ms),
     .default_text = "2s",
     .min = 1,
     .max = 86400000,
     .help = "How long clients wait before they reconnect"},
    {.name = "drain-timeout",
     .argument = "TIME",
     .type = OPTION_DURATION,
     AT(drain_timeout_ms),
     .default_text = "30s",
     .max = 86400000,
     .help = "After SIGTERM, exit at the latest after so long"},

    {.name = "log-level",
     .argument = "LEVEL",
     .group = "Logging",
     .type = OPTION_ENUM,
     AT(log_level),
     .default_text = "info",
     .names = log_levels,
     .help = "Least level that is logged, to standard error"},
    {.name = "log-format",
     .argument = "FORMAT",
     .type = OPTION_ENUM,
     AT(log_format),
     .names = log_formats,
     .default_note = "text on a terminal, else json",
     .help = "Shape of log lines"},
    {.name = "log-buffer",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(log_buffer),
     .default_text = "256KiB",
     .min = 8 << 10,
     .max = 1 << 30,
     .help = "Bytes of log lines that may wait for the reader of standard error; more are dropped and "
             "counted, and nothing else waits"},
};

static const struct option_table table = {
    .program = "sse-gateway",
    .synopsis = "[OPTION]...",
    .purpose = "Holds browsers' event streams and sends them what is published to Redis.",
    .prefix = "SSE_GATEWAY_",
    .config_option = "config",
    .specs = specs,
    .count = sizeof specs / sizeof *specs,
};

const struct option_table *config_options(void)
{
    return &table;
}

bool config_load(struct config *c, int argc, char **argv, char *error, size_t error_size)
{
    int first;
    *c = (struct config){0};
    if (!options_load(&table, argc, argv, c, &first, error, error_size))
        return false;
    if (c->help || c->version)
        return true;
    snprintf(error, error_size, "out of memory");
    bool ok = true;
    if (first < argc) {
        snprintf(error, error_size, "\"%s\" is no option; try --help", argv[first]);
        ok = false;
    }
    ok = ok && config_derive(c, error, error_size);
    if (!ok)
        config_free(c);
    return ok;
}

void config_free(struct config *c)
{
    config_derive_free(c);
    options_free(&table, c);
}
