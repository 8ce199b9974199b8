// The options that say which Redis, and how it is reached: the same for the gateway and for sse-publish.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/options.h"
#include "common/redis_url.h"

// Embedded in the values of an option table.
struct redis_options {
    char *url, *password_file, *sentinel_password_file, *ca, *cert, *key;
    int pubsub; // enum pubsub
};

enum pubsub { PUBSUB_AUTO, PUBSUB_CLASSIC, PUBSUB_SHARDED };
extern const char *const redis_pubsub_names[];

// The check of --redis. On failure false, and one line in `error`.
bool redis_options_check_url(const char *text, char *error, size_t error_size);

// The URL of --redis with what the other options add to it. Files of passwords are read; those for TLS are
// only named, and their names borrowed from `o`. On failure false, and one line in `error`; `url` is for
// redis_url_deinit all the same.
bool redis_options_url(const struct redis_options *o, struct redis_url *url, char *error, size_t error_size);

#define REDIS_DEFAULT_URL "redis://127.0.0.1:6379"

// Rows of an option table for the struct redis_options `member` of `struct values`. What follows is for the row of the
// URL: `.default_text = REDIS_DEFAULT_URL`, or `.default_note`, where the program must know whether it was given.
#define REDIS_OPTION(values, member, field, option, kind, ...)                                               \
    {                                                                                                        \
        .name = (option), .type = (kind), .offset = offsetof(struct values, member.field), __VA_ARGS__       \
    }
#define REDIS_OPTIONS(values, member, ...)                                                                   \
    REDIS_OPTION(values, member, url, "redis", OPTION_STRING, .argument = "URL", .group = "Redis",           \
                 .properties = OPTION_SECRET_URL, __VA_ARGS__, .check = redis_options_check_url,             \
                 .help = "redis://[USER:PASSWORD@]HOST[:PORT][/DB]; "                                        \
                         "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],.../NAME[/DB] by sentinels; "         \
                         "redis+cluster://[USER:PASSWORD@]HOST[:PORT],...; these with TLS as rediss://, "    \
                         "rediss+sentinel://, rediss+cluster://; or "                                        \
                         "redis+unix://[USER:PASSWORD@]/PATH[?db=N]"),                                       \
        REDIS_OPTION(values, member, password_file, "redis-password-file", OPTION_STRING,                    \
                     .argument = "FILE",                                                                     \
                     .help = "File with the password for Redis, instead of one in the URL"),                 \
        REDIS_OPTION(values, member, sentinel_password_file, "redis-sentinel-password-file", OPTION_STRING,  \
                     .argument = "FILE",                                                                     \
                     .help = "File with the password of the sentinels, where they have one"),                \
        REDIS_OPTION(values, member, ca, "redis-ca", OPTION_STRING, .argument = "FILE",                      \
                     .default_note = "what the system trusts",                                               \
                     .help = "Certificates (PEM) of the CAs that may vouch for a rediss:// server"),         \
        REDIS_OPTION(values, member, cert, "redis-cert", OPTION_STRING, .argument = "FILE",                  \
                     .help =                                                                                 \
                         "Certificate (PEM) to show to a rediss:// server, with those that lead to its CA"), \
        REDIS_OPTION(values, member, key, "redis-key", OPTION_STRING, .argument = "FILE",                    \
                     .help = "Private key (PEM) of --redis-cert"),                                           \
        REDIS_OPTION(values, member, pubsub, "pubsub", OPTION_ENUM, .default_text = "auto",                  \
                     .names = redis_pubsub_names,                                                            \
                     .help =                                                                                 \
                         "Kind of Redis Pub/Sub, the same for gateways and publishers: classic (PUBLISH), "  \
                         "sharded (SPUBLISH), or auto: sharded on a cluster")
