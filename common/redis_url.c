#include "common/redis_url.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/hex.h"

// No message quotes the input: with a slash or an '@' forgotten, any part of it may be the password.

#define HOST_MAX (REDIS_HOST_SIZE - 1)

static const struct {
    const char *prefix;
    enum redis_url_kind kind;
    unsigned short default_port;
    bool tls;
} schemes[] = {
    {"redis://", REDIS_URL_TCP, 6379, false},
    {"rediss://", REDIS_URL_TLS, 6379, true},
    {"redis+unix://", REDIS_URL_UNIX, 0, false},
    {"redis+sentinel://", REDIS_URL_SENTINEL, 26379, false},
    {"rediss+sentinel://", REDIS_URL_SENTINEL, 26379, true},
    {"redis+cluster://", REDIS_URL_CLUSTER, 6379, false},
    {"rediss+cluster://", REDIS_URL_CLUSTER, 6379, true},
};

struct text {
    const char *start, *end;
};

struct parsing {
    struct redis_url *url;
    unsigned short default_port;
    char *error;
    size_t error_size;
};

static bool refuse(const struct parsing *p, const char *reason)
{
    snprintf(p->error, p->error_size, "%s", reason);
    return false;
}

static size_t text_len(struct text text)
{
    return (size_t)(text.end - text.start);
}

// The first of `bytes` in the text, or its end.
static const char *find_any(struct text text, const char *bytes)
{
    const char *c = text.start;

    while (c < text.end && strchr(bytes, *c) == NULL)
        c++;
    return c;
}

// Percent-decodes (RFC 3986 section 2.1) into a new string.
static bool decode(const struct parsing *p, struct text text, char **out)
{
    char *copy = malloc(text_len(text) + 1);
    size_t used = 0;

    if (copy == NULL)
        return refuse(p, "out of memory");
    for (const char *c = text.start; c < text.end; c++) {
        int high = 0, low = 0;

        if (*c == '%') {
            high = text.end - c > 2 ? hex_value(c[1]) : -1;
            low = high >= 0 ? hex_value(c[2]) : -1;
        }
        if (high < 0 || low < 0 || (*c == '%' && high == 0 && low == 0)) {
            free(copy);
            return refuse(
                p, "a % must be followed by two hexadecimal digits, not 00; write %25 for a percent sign");
        }
        copy[used++] = *c == '%' ? (char)(high * 16 + low) : *c;
        c += *c == '%' ? 2 : 0;
    }
    copy[used] = '\0';
    *out = copy;
    return true;
}

// At most nine digits, so that any int holds it.
static bool parse_number(struct text text, unsigned *out)
{
    unsigned number = 0;

    if (text_len(text) == 0 || text_len(text) > 9)
        return false;
    for (const char *c = text.start; c < text.end; c++) {
        if (*c < '0' || *c > '9')
            return false;
        number = number * 10 + (unsigned)(*c - '0');
    }
    *out = number;
    return true;
}

static bool parse_db(const struct parsing *p, struct text text)
{
    return parse_number(text, &p->url->db) || refuse(p, "the database is not a number; write for example /1");
}

// "user:password", "user" or ":password".
static bool parse_credentials(const struct parsing *p, struct text text)
{
    struct text user = {text.start, find_any(text, ":")};
    struct text password = {user.end < text.end ? user.end + 1 : text.end, text.end};

    if (find_any(text, "/?#") != text.end)
        return refuse(p, "the user or the password holds one of / ? #; write them as %2F %3F %23");
    if (text_len(user) > 0 && !decode(p, user, &p->url->user))
        return false;
    // An empty password is kept only with a user name, since a user of Redis may have none ("nopass").
    if (text_len(password) == 0 && (p->url->user == NULL || user.end == text.end))
        return true;
    return decode(p, password, &p->url->password);
}

static bool is_host_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool host_valid(struct text host, bool bracketed)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (bracketed) {
        if (text_len(host) >= sizeof(address))
            return false;
        memcpy(address, host.start, text_len(host));
        address[text_len(host)] = '\0';
        return inet_pton(AF_INET6, address, &parsed) == 1;
    }
    for (const char *c = host.start; c < host.end; c++) {
        if (!is_host_byte(*c))
            return false;
    }
    return text_len(host) > 0 && text_len(host) <= HOST_MAX;
}

// "host", "host:port", "[v6]" or "[v6]:port".
static bool parse_endpoint(const struct parsing *p, struct text text, struct redis_address *out)
{
    bool bracketed = text_len(text) > 0 && *text.start == '[';
    struct text host = {text.start + (bracketed ? 1 : 0), text.end}, port;
    unsigned number = p->default_port;

    host.end = find_any(host, bracketed ? "]" : ":");
    port = (struct text){host.end + (bracketed && host.end < text.end ? 1 : 0), text.end};
    if (text_len(host) == 0 && !bracketed)
        return refuse(p, "there is no host; write for example redis://127.0.0.1:6379");
    if ((bracketed && host.end == text.end) || !host_valid(host, bracketed))
        return refuse(p, "the host is neither a name nor an address; an IPv6 address stands in [ ]");
    if (text_len(port) > 0) {
        port.start++;
        if (port.start[-1] != ':' || !parse_number(port, &number) || number == 0 || number > UINT16_MAX)
            return refuse(p, "the port is not a number from 1 to 65535");
    }
    memcpy(out->host, host.start, text_len(host));
    out->host[text_len(host)] = '\0';
    out->port = (unsigned short)number;
    return true;
}

static bool parse_endpoints(const struct parsing *p, struct text text)
{
    struct redis_url *url = p->url;
    size_t count = 1;

    for (const char *c = text.start; c < text.end; c++)
        count += *c == ',';
    if (count > 1 && url->kind == REDIS_URL_TCP)
        return refuse(p, "more than one host; that takes redis+sentinel:// or redis+cluster://");
    if (count > 1 && url->kind == REDIS_URL_TLS)
        return refuse(p, "more than one host; that takes rediss+sentinel:// or rediss+cluster://");
    if (count > REDIS_URL_MAX_ENDPOINTS)
        return refuse(p, "more than 64 hosts");
    url->endpoints = calloc(count, sizeof(*url->endpoints));
    if (url->endpoints == NULL)
        return refuse(p, "out of memory");
    for (struct text item = {text.start, NULL}; url->endpoint_count < count; item.start = item.end + 1) {
        item.end = find_any((struct text){item.start, text.end}, ",");
        if (!parse_endpoint(p, item, &url->endpoints[url->endpoint_count++]))
            return false;
    }
    return true;
}

// "NAME" or "NAME/db".
static bool parse_master(const struct parsing *p, struct text path)
{
    struct text name = {path.start, find_any(path, "/")};

    if (text_len(name) == 0)
        return refuse(p, "the name of the master is missing; write redis+sentinel://HOST:PORT/NAME");
    if (!decode(p, name, &p->url->master_name))
        return false;
    return name.end >= path.end - 1 || parse_db(p, (struct text){name.end + 1, path.end});
}

// The path that follows the hosts, without its first slash.
static bool parse_path(const struct parsing *p, struct text path)
{
    if (find_any(path, "?#") != path.end)
        return refuse(p, "nothing may follow a ? or # here; the database is written /N");
    if (p->url->kind == REDIS_URL_SENTINEL)
        return parse_master(p, path);
    if (text_len(path) > 0 && !parse_db(p, path))
        return false;
    if (p->url->kind == REDIS_URL_CLUSTER && p->url->db != 0)
        return refuse(p, "a cluster has no database but 0");
    return true;
}

// "[user[:password]@]host[:port],...[/path]"
static bool parse_network(const struct parsing *p, struct text text)
{
    const char *at = memrchr(text.start, '@', text_len(text));
    const char *slash;

    if (at && !parse_credentials(p, (struct text){text.start, at}))
        return false;
    if (at)
        text.start = at + 1;
    slash = find_any(text, "/?#");
    if (!parse_endpoints(p, (struct text){text.start, slash}))
        return false;
    if (slash < text.end && *slash == '/')
        slash++;
    return parse_path(p, (struct text){slash, text.end});
}

// "[user[:password]@]/path[?db=N]". The path may hold an '@': credentials end at the first "@/".
static bool parse_unix(const struct parsing *p, struct text text)
{
    const char *at = memmem(text.start, text_len(text), "@/", 2), *query;

    if (text_len(text) > 0 && *text.start != '/') {
        if (at == NULL)
            return refuse(p, "the path of the socket must begin with a slash; write for example "
                             "redis+unix:///run/redis.sock");
        if (!parse_credentials(p, (struct text){text.start, at}))
            return false;
        text.start = at + 1;
    }
    query = find_any(text, "?");
    if (query - text.start < 2)
        return refuse(p, "the path of the socket is missing; write for example redis+unix:///run/redis.sock");
    if (!decode(p, (struct text){text.start, query}, &p->url->unix_path))
        return false;
    if (strlen(p->url->unix_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return refuse(p, "the path of the socket is too long; the system allows 107 bytes");
    if (query == text.end)
        return true;
    if (text.end - query < 4 || memcmp(query, "?db=", 4) != 0)
        return refuse(p, "only ?db=N may follow the path of the socket");
    return parse_db(p, (struct text){query + 4, text.end});
}

bool redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size)
{
    struct parsing p = {.url = out, .error = error, .error_size = error_size};
    struct text rest = {NULL, text + strlen(text)};
    bool ok;

    *out = (struct redis_url){0};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
            out->kind = schemes[i].kind;
            out->tls = schemes[i].tls;
            p.default_port = schemes[i].default_port;
            rest.start = text + strlen(schemes[i].prefix);
        }
    }
    if (rest.start == NULL)
        return refuse(&p,
                      "it must begin with redis://, redis+unix://, redis+sentinel:// or redis+cluster://; "
                      "with TLS rediss instead of redis");
    ok = out->kind == REDIS_URL_UNIX ? parse_unix(&p, rest) : parse_network(&p, rest);
    if (!ok)
        redis_url_deinit(out);
    return ok;
}

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void redis_url_deinit(struct redis_url *url)
{
    free(url->endpoints);
    free(url->unix_path);
    free(url->master_name);
    free(url->user);
    free_secret(url->password);
    free_secret(url->sentinel_password);
    *url = (struct redis_url){0};
}

void redis_address_describe(const struct redis_address *address, char *out, size_t size)
{
    if (address->unix_path)
        snprintf(out, size, "%s", address->unix_path);
    else
        snprintf(out, size, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host, address->port);
}

bool redis_address_equal(const struct redis_address *a, const struct redis_address *b)
{
    return a->unix_path == b->unix_path && a->port == b->port && strcmp(a->host, b->host) == 0;
}

__attribute__((format(printf, 4, 5))) static void append(char *out, size_t size, size_t *used,
                                                         const char *format, ...)
{
    va_list args;
    int n;

    if (*used >= size)
        return;
    va_start(args, format);
    n = vsnprintf(out + *used, size - *used, format, args);
    va_end(args);
    *used += n > 0 ? (size_t)n : 0;
}

void redis_url_describe(const struct redis_url *url, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].kind == url->kind && schemes[i].tls == url->tls)
            append(out, size, &used, "%s", schemes[i].prefix);
    }
    for (size_t i = 0; i < url->endpoint_count; i++) {
        char address[REDIS_HOST_SIZE + 16];

        redis_address_describe(&url->endpoints[i], address, sizeof(address));
        append(out, size, &used, "%s%s", i ? "," : "", address);
    }
    if (url->kind == REDIS_URL_UNIX)
        append(out, size, &used, "%s?db=%u", url->unix_path, url->db);
    else if (url->kind == REDIS_URL_SENTINEL)
        append(out, size, &used, "/%s/%u", url->master_name, url->db);
    else if (url->kind != REDIS_URL_CLUSTER)
        append(out, size, &used, "/%u", url->db);
}
