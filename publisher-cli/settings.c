#include "publisher-cli/settings.h"

#include "common/redis_url.h"
#include "common/secret_file.h"

static bool check_redis(const char *text, char *error, size_t error_size)
{
    struct redis_url url;
    if (!redis_url_parse(text, &url, error, error_size))
        return false;
    redis_url_deinit(&url);
    return true;
}

static const char *const pubsubs[] = {"auto", "classic", "sharded", NULL};

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    {.name = "redis",
     .argument = "URL",
     .group = "Redis",
     .type = OPTION_STRING,
     .properties = OPTION_SECRET_URL,
     AT(redis),
     .default_text = "redis://127.0.0.1:6379",
     .check = check_redis,
     .help = "Redis of the gateways: redis://[USER:PASSWORD@]HOST[:PORT][/DB], "
             "redis+sentinel://HOST[:PORT],.../NAME, redis+cluster://HOST[:PORT],..., "
             "with TLS rediss instead of redis; or redis+unix:///PATH"},
    {.name = "pubsub",
     .argument = "KIND",
     .type = OPTION_ENUM,
     AT(pubsub),
     .default_text = "auto",
     .names = pubsubs,
     .help = "What the gateways' --pubsub is: classic (PUBLISH), sharded (SPUBLISH), or auto: sharded on a "
             "cluster"},
    {.name = "redis-password-file",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(redis_password_file),
     .help = "File with the password for Redis, instead of one in the URL"},
    {.name = "redis-sentinel-password-file",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(redis_sentinel_password_file),
     .help = "File with the password of the sentinels, where they have one"},
    {.name = "redis-ca",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(redis_ca),
     .default_note = "what the system trusts",
     .help = "Certificates (PEM) of the CAs that may vouch for a rediss:// server"},
    {.name = "redis-cert",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(redis_cert),
     .help = "Certificate (PEM) to show to a rediss:// server, with those that lead to its CA"},
    {.name = "redis-key",
     .argument = "FILE",
     .type = OPTION_STRING,
     AT(redis_key),
     .help = "Private key (PEM) of --redis-cert"},
    {.name = "timeout",
     .argument = "TIME",
     .type = OPTION_DURATION,
     AT(timeout),
     .default_text = "5s",
     .min = 1,
     .max = 3600000,
     .help = "How long to wait for a connection, and for each answer"},
    {.name = "event",
     .argument = "NAME",
     .group = "Event",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(event),
     .help = "Name of the event; a browser hears it with addEventListener(NAME, ...)"},
    {.name = "id",
     .argument = "ID",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(id),
     .help = "Id of the event"},
    {.name = "retry",
     .argument = "MS",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(retry),
     .max = UINT32_MAX,
     .help = "Tell clients to wait so many milliseconds before they reconnect"},
    {.name = "durable",
     .group = "Durable events",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(durable),
     .help = "Keep the event in its channel's history, so that a client that was away gets it later"},
    {.name = "keep",
     .argument = "N",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(keep),
     .min = 1,
     .max = 1000000000,
     .default_note = "1000",
     .help = "How many events of the channel to keep"},
    {.name = "keep-for",
     .argument = "TIME",
     .type = OPTION_DURATION,
     .properties = OPTION_COMMAND_LINE,
     AT(keep_for),
     .min = 1000,
     .max = UINT64_C(1000000000000),
     .default_note = "24h",
     .help = "How long to keep them"},
    {.name = "install",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(install),
     .help = "Load the functions for durable events into Redis, where they are missing or older, and exit"},
    {.name = "lines",
     .group = "Input and output",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(lines),
     .help = "Each line of standard input is one event, sent as soon as it is read"},
    {.name = "max-message",
     .argument = "SIZE",
     .type = OPTION_SIZE,
     AT(max_message),
     .default_text = "1MiB",
     .min = 1,
     .max = 512u << 20,
     .help = "What the gateways' --max-message is; a larger message is published with a warning"},
    {.name = "json",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(json),
     .help = "Print the result as one JSON object"},
    {.name = "help",
     .letter = 'h',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(help),
     .help = "Print this and exit"},
    {.name = "version",
     .letter = 'V',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(version),
     .help = "Print the version and exit"},
};

const struct option_table settings_table = {
    .program = "sse-publish",
    .synopsis = "[OPTION]... CHANNEL [DATA|-]",
    .purpose = "Publishes DATA, or standard input, as one event to all who stream CHANNEL, and prints how "
               "many gateways "
               "received it.",
    .prefix = "SSE_PUBLISH_",
    .epilogue = "Exit status: 0 published, 1 Redis refused or could not be reached, 2 wrong usage or input.",
    .specs = specs,
    .count = sizeof(specs) / sizeof(specs[0]),
};

// True where an option says how to publish.
static bool publishes(const struct settings *settings)
{
    return settings->durable || settings->lines || settings->event || settings->id ||
           settings->retry != OPTION_UNSET || settings->keep != OPTION_UNSET ||
           settings->keep_for != OPTION_UNSET;
}

const char *settings_problem(const struct settings *settings, int argc)
{
    if ((settings->redis_cert == NULL) != (settings->redis_key == NULL))
        return "--redis-cert and --redis-key go together; give both or neither";
    if (settings->install)
        return argc > 0 || publishes(settings) ? "--install publishes nothing; use it alone" : NULL;
    if (argc == 0)
        return "CHANNEL is missing; write sse-publish CHANNEL [DATA], or see --help";
    if (argc > 2)
        return "more than CHANNEL and DATA; put quotes around DATA that has blanks";
    if (settings->durable && settings->id)
        return "--id: a durable event gets its id in Redis; leave --id out";
    if (!settings->durable && (settings->keep != OPTION_UNSET || settings->keep_for != OPTION_UNSET))
        return "--keep and --keep-for are for durable events; add --durable";
    return NULL;
}

static bool read_password(const char *option, const char *file, char **password, struct failure *failure)
{
    return !file || secret_file_read(option, file, password, failure->text, sizeof failure->text);
}

// Whoever names files for TLS believes that the connection is encrypted.
static bool check_tls(const struct settings *settings, const struct redis_url *url, struct failure *failure)
{
    const char *option = settings->redis_ca     ? "ca"
                         : settings->redis_cert ? "cert"
                         : settings->redis_key  ? "key"
                                                : NULL;
    return url->tls || option == NULL ||
           failure_set(failure, "--redis-%s: the URL of --redis is not one of TLS; write it rediss%s://",
                       option,
                       url->kind == REDIS_URL_CLUSTER    ? "+cluster"
                       : url->kind == REDIS_URL_SENTINEL ? "+sentinel"
                                                         : "");
}

// Without a password there is no AUTH, and the user would be `default`.
static bool check_credentials(const struct settings *settings, const struct redis_url *url,
                              struct failure *failure)
{
    if (url->user && !url->password)
        return failure_set(failure, "--redis: there is a user but no password; a password alone is written "
                                    "redis://:PASSWORD@HOST");
    if (settings->redis_sentinel_password_file && url->kind != REDIS_URL_SENTINEL)
        return failure_set(failure, "--redis-sentinel-password-file: the URL of --redis names no sentinels; "
                                    "write it redis+sentinel://");
    return true;
}

bool settings_redis_url(const struct settings *settings, struct redis_url *url, struct failure *failure)
{
    if (!redis_url_parse(settings->redis, url, failure->text, sizeof failure->text))
        return false;
    url->tls_files = (struct redis_tls_files){settings->redis_ca, settings->redis_cert, settings->redis_key};
    return read_password("redis-password-file", settings->redis_password_file, &url->password, failure) &&
           read_password("redis-sentinel-password-file", settings->redis_sentinel_password_file,
                         &url->sentinel_password, failure) &&
           check_credentials(settings, url, failure) && check_tls(settings, url, failure);
}
