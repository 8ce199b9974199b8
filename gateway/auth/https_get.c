#include "gateway/auth/https_get.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000L
#define CONNECT_TIMEOUT_MS 5000L

const bool https_get_is_built = true;

struct transfer {
    const struct https_get *get;
    struct https_answer *answer;
};

bool https_get_check(const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool ok = parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcmp(scheme, "https") == 0;
    curl_free(scheme);
    curl_url_cleanup(parts);
    return ok;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * count;
    if (len > t->get->bytes_max - t->answer->body.len || !buf_append(&t->answer->body, bytes, len))
        return 0; // fewer than were given ends the transfer
    return len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return t->get->is_stopping(t->get->ctx);
}

int64_t https_max_age(const char *cache_control)
{
    static const char name[] = "max-age=";
    const char *at = strcasestr(cache_control, name);
    if (!at || (at > cache_control && !strchr(" ,\t", at[-1])))
        return -1;
    at += sizeof name - 1;
    if (*at < '0' || *at > '9')
        return -1;
    errno = 0;
    long long seconds = strtoll(at, NULL, 10);
    return errno == 0 ? seconds : INT64_MAX;
}

static int64_t max_age_of(CURL *curl)
{
    struct curl_header *header;
    bool found = curl_easy_header(curl, "cache-control", 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
    return found ? https_max_age(header->value) : -1;
}

static bool set_options(CURL *curl, struct transfer *t, char *reason)
{
    const struct https_get *get = t->get;
#define SET(option, value) (curl_easy_setopt(curl, CURLOPT_##option, value) == CURLE_OK)
    return SET(URL, get->url) && SET(PROTOCOLS_STR, "https") && SET(FOLLOWLOCATION, 0L) &&
           SET(SSL_VERIFYPEER, 1L) && SET(SSL_VERIFYHOST, 2L) &&
           SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           (!get->ca || (SET(CAINFO, get->ca) && SET(CAPATH, NULL))) && SET(DISALLOW_USERNAME_IN_URL, 1L) &&
           SET(TIMEOUT_MS, TIMEOUT_MS) && SET(CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) && SET(NOSIGNAL, 1L) &&
           SET(QUICK_EXIT, 1L) && SET(USERAGENT, "sse-gateway/" SSE_GATEWAY_VERSION) &&
           SET(WRITEFUNCTION, on_bytes) && SET(WRITEDATA, t) && SET(XFERINFOFUNCTION, on_progress) &&
           SET(XFERINFODATA, t) && SET(NOPROGRESS, 0L) && SET(ERRORBUFFER, reason);
#undef SET
}

bool https_get(const struct https_get *get, struct https_answer *answer, char *error, size_t error_size)
{
    char reason[CURL_ERROR_SIZE] = "";
    struct transfer t = {.get = get, .answer = answer};
    long status = 0;
    answer->max_age_s = -1;
    CURL *curl = curl_easy_init();
    bool ok = false;
    if (!curl || !set_options(curl, &t, reason)) {
        snprintf(error, error_size, "out of memory");
    } else {
        CURLcode code = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status); // stays 0 where there was no answer
        ok = code == CURLE_OK && status == 200;
        if (code == CURLE_WRITE_ERROR)
            snprintf(error, error_size, "the answer has more than %zu bytes", get->bytes_max);
        else if (code != CURLE_OK)
            snprintf(error, error_size, "%s", reason[0] ? reason : curl_easy_strerror(code));
        else if (!ok)
            snprintf(error, error_size, "the status is %ld", status);
        if (ok)
            answer->max_age_s = max_age_of(curl);
    }
    curl_easy_cleanup(curl);
    return ok;
}
