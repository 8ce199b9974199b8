#include "common/redis_options.h"

#include <stdio.h>

#include "common/secret_file.h"

const char *const redis_pubsub_names[] = {"auto", "classic", "sharded", NULL};

bool redis_options_check_url(const char *text, char *error, size_t error_size)
{
    struct redis_url url;
    bool ok = redis_url_parse(text, &url, error, error_size);
    redis_url_deinit(&url);
    return ok;
}

// Files for TLS with a URL without TLS are refused: the user expects the connection to be encrypted.
static bool check_tls(const struct redis_options *o, const struct redis_url *url, char *error,
                      size_t error_size)
{
    static const char *const suffixes[] = {
        [REDIS_URL_SENTINEL] = "+sentinel", [REDIS_URL_CLUSTER] = "+cluster"};
    const char *option = o->ca ? "ca" : o->cert ? "cert" : o->key ? "key" : NULL;
    if (option && !url->tls) {
        const char *suffix = suffixes[url->kind];
        snprintf(error, error_size, "--redis-%s: the URL of --redis is not one of TLS; write it rediss%s://",
                 option, suffix ? suffix : "");
        return false;
    }
    if (!o->cert != !o->key) {
        snprintf(error, error_size, "--redis-%s: --redis-cert and --redis-key belong together",
                 o->cert ? "cert" : "key");
        return false;
    }
    return true;
}

static bool check_sentinels(const struct redis_options *o, const struct redis_url *url, char *error,
                            size_t error_size)
{
    if (!o->sentinel_password_file || url->kind == REDIS_URL_SENTINEL)
        return true;
    snprintf(error, error_size,
             "--redis-sentinel-password-file: the URL of --redis names no sentinels; write it "
             "redis+sentinel://");
    return false;
}

// Redis has no AUTH with a user alone: without a password it would be the user "default".
static bool check_user(const struct redis_url *url, char *error, size_t error_size)
{
    if (!url->user || url->password)
        return true;
    snprintf(error, error_size,
             "--redis: there is a user but no password; write it redis://USER:PASSWORD@HOST, or give "
             "--redis-password-file; a password alone is written redis://:PASSWORD@HOST");
    return false;
}

static bool read_password(const char *option, const char *file, char **password, char *error,
                          size_t error_size)
{
    return !file || secret_file_read(option, file, password, error, error_size);
}

bool redis_options_url(const struct redis_options *o, struct redis_url *url, char *error, size_t error_size)
{
    if (!redis_url_parse(o->url, url, error, error_size)) // out of memory: it was checked before
        return false;
    url->sharded =
        o->pubsub == PUBSUB_SHARDED || (o->pubsub == PUBSUB_AUTO && url->kind == REDIS_URL_CLUSTER);
    url->tls_files = (struct tls_files){o->ca, o->cert, o->key};
    return check_sentinels(o, url, error, error_size) && check_tls(o, url, error, error_size) &&
           read_password("redis-password-file", o->password_file, &url->password, error, error_size) &&
           read_password("redis-sentinel-password-file", o->sentinel_password_file, &url->sentinel_password,
                         error, error_size) &&
           check_user(url, error, error_size);
}
