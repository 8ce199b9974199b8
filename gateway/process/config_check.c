#include "gateway/process/config_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"
#include "gateway/auth/jwt_algorithm.h"
#include "gateway/client/http_text.h"
#include "gateway/client/listen_address.h"
#include "gateway/client/peer_address.h"
#include "gateway/fanout/message.h"
#include "gateway/process/origin.h"

#define TOKEN_NAME_MAX 128

bool config_check_pattern(const char *text, char *error, size_t error_size)
{
    if (pattern_valid(text))
        return true;
    snprintf(error, error_size, "is no channel pattern; write for example news or public:*");
    return false;
}

// "off" is not taken as a pattern: it means that no channel has a history.
bool config_check_durable(const char *text, char *error, size_t error_size)
{
    return strcmp(text, "off") == 0 || config_check_pattern(text, error, error_size);
}

bool config_check_payload(const char *text, char *error, size_t error_size)
{
    struct payload_rule rule;
    if (!payload_rule_parse(text, &rule, error, error_size))
        return false;
    free(rule.pattern);
    return true;
}

bool config_check_listen_mode(const char *text, char *error, size_t error_size)
{
    mode_t mode;
    snprintf(error, error_size, "is no mode of a file; write for example 0660");
    return listen_access_mode(text, &mode);
}

bool config_check_listen_group(const char *text, char *error, size_t error_size)
{
    gid_t group;
    snprintf(error, error_size, "is no group that this machine knows");
    return listen_access_group(text, &group);
}

bool config_check_admin_listen(const char *text, char *error, size_t error_size)
{
    return strcmp(text, "off") == 0 || listen_address_check(text, error, error_size);
}

bool config_check_origin(const char *text, char *error, size_t error_size)
{
    char normal[ORIGIN_SIZE];
    return origin_normalise(text, normal, error, error_size);
}

bool config_check_trusted_proxy(const char *text, char *error, size_t error_size)
{
    struct peer_range range;
    snprintf(error, error_size,
             "is no address or range of addresses; write for example 10.0.0.0/8, 2001:db8::7 or unix");
    return peer_range_parse(&range, text);
}

bool config_check_header_name(const char *text, char *error, size_t error_size)
{
    snprintf(error, error_size, "is no name of a header; write for example X-SSE-Channels");
    return http_text_is_token((struct http_text){text, strlen(text)});
}

// Pages of the gateway's own, which streams at their path or below it would hide.
static bool is_page(const char *path)
{
    static const char *const pages[] = {"/health", "/metrics", "/dashboard", "/ticket"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t len = strlen(pages[i]);
        if (strncmp(path, pages[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

// Browsers write other bytes than these with a %, and leave out what is "." or "..", so that streams at such
// a path would never be found.
bool config_check_path(const char *text, char *error, size_t error_size)
{
    size_t len = strlen(text);
    bool ok = len >= 2 && text[0] == '/' && text[len - 1] != '/' && !strpbrk(text, "?#%\"<>\\^`{|}");
    for (const char *at = text; *at; at++) {
        size_t dots = *at == '/' ? strspn(at + 1, ".") : 0;
        ok = ok && *at > ' ' && *at <= '~' &&
             !((dots == 1 || dots == 2) && (at[1 + dots] == '/' || at[1 + dots] == '\0'));
    }
    if (ok && is_page(text))
        snprintf(
            error, error_size,
            "is where the gateway has pages of its own (/health, /metrics, /dashboard, /ticket); write for "
            "example /stream");
    else if (!ok)
        snprintf(error, error_size, "is no path for streams; write for example /stream");
    return ok && !is_page(text);
}

bool config_check_algorithms(const char *text, char *error, size_t error_size)
{
    unsigned ignored = 0;
    snprintf(error, error_size, "is no algorithm of tokens; write for example ES256 or RS256,EdDSA");
    return jwt_algorithms_add(text, &ignored);
}

// A token of RFC 9110, as the name of a cookie is.
bool config_check_cookie(const char *text, char *error, size_t error_size)
{
    snprintf(error, error_size, "is no name of a cookie");
    return strlen(text) <= TOKEN_NAME_MAX && http_text_is_token((struct http_text){text, strlen(text)});
}

bool config_check_query(const char *text, char *error, size_t error_size)
{
    static const char *const taken[] = {"channel", "last_event_id", "lastEventId",
                                        "control", "source",        "ticket"};
    bool ok = config_check_cookie(text, error, error_size);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        ok = ok && strcmp(text, taken[i]) != 0;
    snprintf(error, error_size, "is no name for a parameter; write for example access_token");
    return ok;
}

// A decimal fraction, written as in C whatever the locale is.
bool config_read_tolerance(const char *text, double *out)
{
    char *end;
    size_t digits = strspn(text, "0123456789.");
    *out = strtod(text, &end);
    return digits > 0 && text[digits] == '\0' && *end == '\0' && *out >= 0.01 && *out <= 1.0;
}

bool config_check_tolerance(const char *text, char *error, size_t error_size)
{
    double ignored;
    snprintf(error, error_size,
             "is no tolerance; write a fraction from 0.01 to 1, for example 0.1 for a tenth");
    return config_read_tolerance(text, &ignored);
}

bool config_read_rate(const char *text, uint64_t *per_s)
{
    char *end;
    bool is_digit = *text >= '0' && *text <= '9';
    *per_s = strtoull(text, &end, 10);
    return is_digit && (*end == '\0' || strcmp(end, "/s") == 0) && *per_s >= 1 && *per_s <= 1000000;
}

bool config_check_rate(const char *text, char *error, size_t error_size)
{
    uint64_t ignored;
    snprintf(error, error_size,
             "is no rate; write streams per second from 1/s to 1000000/s, for example 50/s");
    return config_read_rate(text, &ignored);
}

bool config_is_id_byte(char c)
{
    return c > ' ' && c <= '~' && c != '"' && c != '\\';
}

bool config_check_id(const char *text, char *error, size_t error_size)
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
