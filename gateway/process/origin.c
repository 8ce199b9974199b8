#include "gateway/process/origin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SCHEME_MAX 32u
#define HOST_MAX 253u

struct origin {
    char scheme[SCHEME_MAX + 1];
    char host[HOST_MAX + 1];
    unsigned port; // 0: none, or the scheme's own
};

static bool refuse(char *error, size_t error_size, const char *reason)
{
    snprintf(error, error_size, "%s", reason);
    return false;
}

static bool copy_lower(char *out, size_t max, const char *text, size_t len)
{
    if (len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[len] = '\0';
    return true;
}

// RFC 3986 section 3.1. False where it is none.
static bool is_scheme(const char *scheme)
{
    return isalpha((unsigned char)scheme[0]) &&
           scheme[strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.")] == '\0';
}

// Browsers write the last 32 bits in hexadecimal, where inet_ntop writes an IPv4 address.
static bool normalise_v6(char *host, size_t size)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    size_t len = strlen(host);
    host[len - 1] = '\0'; // the bracket
    if (inet_pton(AF_INET6, host + 1, &address) != 1 || !inet_ntop(AF_INET6, &address, text, sizeof text))
        return false;
    const uint8_t *b = address.s6_addr;
    char *dotted = strchr(text, '.') ? strrchr(text, ':') + 1 : NULL;
    if (dotted)
        *dotted = '\0';
    int n = dotted ? snprintf(host, size, "[%s%x:%x]", text, b[12] << 8 | b[13], b[14] << 8 | b[15])
                   : snprintf(host, size, "[%s]", text);
    return n > 0 && (size_t)n < size;
}

// A host whose last label is a number is an IPv4 address to browsers.
static bool is_bad_v4(const char *host)
{
    struct in_addr address;
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    return *last && last[strspn(last, "0123456789")] == '\0' && inet_pton(AF_INET, host, &address) != 1;
}

static bool take_host(struct origin *o, const char *text, size_t len, char *error, size_t error_size)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            return refuse(error, error_size,
                          "has a host that is not ASCII; browsers send it as xn--.., so write that: for "
                          "example https://xn--bcher-kva.example");
    size_t star = len > 2 && memcmp(text, "*.", 2) == 0 ? 2 : 0; // bytes of it
    const char *name = o->host + star;
    if (memchr(text + star, '*', len - star))
        return refuse(
            error, error_size,
            "has a * that matches nothing; write each origin, or https://*.example.com for all hosts below "
            "example.com, or * alone for all");
    if (!copy_lower(o->host, HOST_MAX, text, len))
        return refuse(error, error_size, "is no origin; write for example https://app.example.com");
    bool ok = o->host[0] == '[' ? normalise_v6(o->host, sizeof o->host)
                                : name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0';
    struct in_addr address;
    if (!ok || is_bad_v4(name) || (star && inet_pton(AF_INET, name, &address) == 1))
        return refuse(
            error, error_size,
            "has a host that is neither a name nor an address; write for example https://app.example.com, "
            "http://127.0.0.1:3000 or http://[::1]:3000");
    // Below a top-level domain anybody may have a host.
    const char *dot = strchr(name, '.');
    if (star && (!dot || dot == name || dot[1] == '\0') && strcmp(name, "localhost") != 0)
        return refuse(
            error, error_size,
            "has a * for all hosts of a top-level domain; write at least two labels behind it, for example "
            "https://*.example.com");
    return true;
}

static bool take_port(struct origin *o, const char *text, size_t len, char *error, size_t error_size)
{
    static const struct {
        const char *scheme;
        unsigned port;
    } defaults[] = {{"http", 80}, {"https", 443}};
    for (size_t i = 0; i < len; i++) {
        o->port = isdigit((unsigned char)text[i]) ? o->port * 10 + (unsigned)(text[i] - '0') : 65536;
        if (o->port > 65535)
            break;
    }
    if (len > 0 && (o->port == 0 || o->port > 65535))
        return refuse(error, error_size, "has a port that is no number from 1 to 65535");
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (strcmp(o->scheme, defaults[i].scheme) == 0 && o->port == defaults[i].port)
            o->port = 0;
    return true;
}

static void write_origin(const struct origin *o, char out[ORIGIN_SIZE])
{
    if (o->port)
        snprintf(out, ORIGIN_SIZE, "%s://%s:%u", o->scheme, o->host, o->port);
    else
        snprintf(out, ORIGIN_SIZE, "%s://%s", o->scheme, o->host);
}

bool origin_normalise(const char *text, char out[ORIGIN_SIZE], char *error, size_t error_size)
{
    static const char no_origin[] = "is no origin; write for example https://app.example.com";
    struct origin o = {.port = 0};
    if (strcmp(text, "*") == 0) {
        memcpy(out, "*", 2);
        return true;
    }
    const char *mark = strstr(text, "://");
    if (!mark || !copy_lower(o.scheme, SCHEME_MAX, text, (size_t)(mark - text)) || !is_scheme(o.scheme))
        return refuse(error, error_size, no_origin);
    const char *host = mark + 3;
    size_t len = strcspn(host, "/?#\\");
    if (memchr(host, '@', len))
        return refuse(error, error_size, no_origin);
    const char *bracket = *host == '[' ? memchr(host, ']', len) : NULL;
    size_t host_len = bracket ? (size_t)(bracket - host) + 1 : strcspn(host, ":/?#\\");
    const char *port = host + host_len;
    size_t port_len = (size_t)(host + len - port);
    if (port_len > 0 && *port != ':')
        return refuse(error, error_size, no_origin);
    if (!take_host(&o, host, host_len, error, error_size) ||
        (port_len > 0 && !take_port(&o, port + 1, port_len - 1, error, error_size)))
        return false;
    write_origin(&o, out);
    if (host[len] == '\0')
        return true;
    snprintf(error, error_size, "has more than scheme, host and port; write %.150s", out);
    return false;
}
