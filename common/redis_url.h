// Redis URLs: redis://[user[:password]@]host[:port][/db], rediss://..,
// redis+unix://[user[:password]@]/path[?db=N], redis+sentinel://h:p,h:p/NAME[/db], rediss+sentinel://..,
// redis+cluster://h:p,h:p, rediss+cluster://..
// Pure: no sockets. User, password and path are percent-decoded.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/tls.h"

enum redis_url_kind { REDIS_URL_TCP, REDIS_URL_TLS, REDIS_URL_UNIX, REDIS_URL_SENTINEL, REDIS_URL_CLUSTER };

// The longest host name, terminated.
#define REDIS_HOST_SIZE 254

// The address of a server. A value, so that it outlives the reply that named it.
struct redis_address {
    const char *unix_path;      // of the URL, borrowed; NULL: a host and a port
    char host[REDIS_HOST_SIZE]; // a name or an address (IPv6 without brackets)
    unsigned short port;
};

struct redis_url {
    enum redis_url_kind kind;
    struct redis_address *endpoints; // one for TCP and TLS, none for UNIX, one or more for the others
    size_t endpoint_count;           // at most REDIS_URL_MAX_ENDPOINTS
    char *unix_path;                 // UNIX only
    char *master_name;               // SENTINEL only
    char *user;                      // NULL where not given
    char *password;                  // NULL where not given
    unsigned db;                     // 0 where not given; always 0 on a cluster
    bool tls;                        // rediss: to every server, and to sentinels
    bool sharded;                    // Pub/Sub is; not part of the text: for the parser's caller to set
    struct tls_files tls_files;      // not part of the text: for the parser's caller to set
    // Made of these files, for many connections to share; NULL where each makes its own. Borrowed.
    struct tls_context *tls_context;
    char *sentinel_password; // of the sentinels themselves; not part of the text, NULL after parsing; owned
};

#define REDIS_URL_MAX_ENDPOINTS 64

// Parses `text` (borrowed). On success `out` owns its strings until redis_url_deinit. On failure returns
// false and writes one line to `error` that says what is wrong and what is expected; the line never contains
// the password.
bool redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size);
void redis_url_deinit(struct redis_url *url);

// "127.0.0.1:6379", "[::1]:6379" or the path of a socket. Truncated to size; always terminated.
void redis_address_describe(const struct redis_address *address, char *out, size_t size);
bool redis_address_equal(const struct redis_address *a, const struct redis_address *b);

// "redis://host:port/db" without user and password, for logs. Truncated to size; always terminated.
void redis_url_describe(const struct redis_url *url, char *out, size_t size);
