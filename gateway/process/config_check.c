#include "gateway/process/config_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"
#include "gateway/client/listen_address.h"
#include "gateway/fanout/message.h"
#include "gateway/process/origin.h"

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
