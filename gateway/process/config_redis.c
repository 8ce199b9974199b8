#include "gateway/process/config_redis.h"

#include <stdio.h>

#include "common/redis_tls.h"
#include "common/secret_file.h"

bool config_redis_check(const char *text, char *error, size_t error_size)
{
    struct redis_url url;
    bool ok = redis_url_parse(text, &url, error, error_size);
    redis_url_deinit(&url);
    return ok;
}

// Whoever names files for TLS believes that the connection is encrypted.
static bool check_tls(const struct config *c, char *error, size_t error_size)
{
    const char *option = c->redis_ca ? "ca" : c->redis_cert ? "cert" : c->redis_key ? "key" : NULL;
    if (option && !c->redis_url.tls) {
        snprintf(error, error_size, "--redis-%s: the URL of --redis is not one of TLS; write it rediss%s://",
                 option,
                 c->redis_url.kind == REDIS_URL_CLUSTER    ? "+cluster"
                 : c->redis_url.kind == REDIS_URL_SENTINEL ? "+sentinel"
                                                           : "");
        return false;
    }
    if (!c->redis_cert != !c->redis_key) {
        snprintf(error, error_size, "--redis-%s: --redis-cert and --redis-key belong together",
                 c->redis_cert ? "cert" : "key");
        return false;
    }
    return true;
}

// Read once, not for every connection: a file that is being replaced cannot cut the gateway off.
static bool open_tls(struct redis_url *url, char *error, size_t error_size)
{
    if (!url->tls)
        return true;
    url->tls_context = redis_tls_context_create(&url->tls_files, error, error_size);
    return url->tls_context != NULL;
}

bool config_redis_derive(struct config *c, char *error, size_t error_size)
{
    struct redis_url *url = &c->redis_url;
    if (!redis_url_parse(c->redis, url, error, error_size)) // out of memory: it was checked before
        return false;
    c->sharded = c->pubsub == PUBSUB_SHARDED || (c->pubsub == PUBSUB_AUTO && url->kind == REDIS_URL_CLUSTER);
    url->tls_files = (struct redis_tls_files){c->redis_ca, c->redis_cert, c->redis_key};
    if (c->redis_sentinel_password_file && url->kind != REDIS_URL_SENTINEL) {
        snprintf(error, error_size,
                 "--redis-sentinel-password-file: the URL of --redis names no sentinels; write it "
                 "redis+sentinel://");
        return false;
    }
    return check_tls(c, error, error_size) && open_tls(url, error, error_size) &&
           (!c->redis_password_file || secret_file_read("redis-password-file", c->redis_password_file,
                                                        &url->password, error, error_size)) &&
           (!c->redis_sentinel_password_file ||
            secret_file_read("redis-sentinel-password-file", c->redis_sentinel_password_file,
                             &url->sentinel_password, error, error_size));
}

void config_redis_free(struct config *c)
{
    redis_tls_context_destroy(c->redis_url.tls_context);
    redis_url_deinit(&c->redis_url);
}
