#include "publisher-cli/connection.h"

#include "common/buf.h"
#include "common/redis_tls.h"
#include "publisher-cli/socket.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 16384
#define ASK_ARGS_MAX 8

struct connection {
    int fd;
    struct redis_tls_context *tls_context; // NULL: plain, as is `tls`
    struct redis_tls *tls;
    redisReader *reader;
    struct buf out;
    uint64_t timeout_ms;
    char name[256], host[256];
};

static bool out_of_memory(char *error, size_t error_size)
{
    snprintf(error, error_size, "out of memory");
    return false;
}

// The socket blocks, so TLS has to wait only where the time is up: as EAGAIN says for a plain one.
static ssize_t outcome_of_tls(ssize_t n)
{
    errno = n == REDIS_TLS_WAIT ? EAGAIN : EPROTO;
    return n < 0 ? -1 : n;
}

static ssize_t read_some(struct connection *connection, char *bytes, size_t len)
{
    ssize_t n;

    if (connection->tls)
        return outcome_of_tls(redis_tls_read(connection->tls, bytes, len));
    do {
        n = read(connection->fd, bytes, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t write_some(struct connection *connection, const char *bytes, size_t len)
{
    ssize_t n;

    if (connection->tls)
        return outcome_of_tls(redis_tls_write(connection->tls, bytes, len));
    do {
        n = write(connection->fd, bytes, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

// `errno` says why. A read or write that timed out shows as EAGAIN.
static bool lost(const struct connection *connection, char *error, size_t error_size)
{
    const char *reason =
        connection->tls && errno == EPROTO ? redis_tls_error(connection->tls) : strerror(errno);

    if (errno == EAGAIN || errno == EWOULDBLOCK)
        snprintf(error, error_size, "no answer from %s within %llu ms", connection->name,
                 (unsigned long long)connection->timeout_ms);
    else
        snprintf(error, error_size, "lost the connection to %s: %s", connection->name, reason);
    return false;
}

static bool send_all(struct connection *connection, char *error, size_t error_size)
{
    size_t sent = 0;

    while (sent < connection->out.len) {
        ssize_t n = write_some(connection, connection->out.data + sent, connection->out.len - sent);

        if (n < 0)
            return lost(connection, error, error_size);
        sent += (size_t)n;
    }
    buf_clear(&connection->out);
    return true;
}

static bool receive(struct connection *connection, char *error, size_t error_size)
{
    char bytes[READ_SIZE];
    ssize_t n = read_some(connection, bytes, sizeof(bytes));

    if (n < 0)
        return lost(connection, error, error_size);
    if (n == 0) {
        snprintf(error, error_size, "%s closed the connection", connection->name);
        return false;
    }
    return redisReaderFeed(connection->reader, bytes, (size_t)n) == REDIS_OK ||
           out_of_memory(error, error_size);
}

struct redisReply *connection_reply(struct connection *connection, char *error, size_t error_size)
{
    void *reply = NULL;

    if (!send_all(connection, error, error_size))
        return NULL;
    for (;;) {
        if (redisReaderGetReply(connection->reader, &reply) != REDIS_OK) {
            snprintf(error, error_size, "%s does not speak Redis' protocol: %s", connection->name,
                     connection->reader->errstr);
            return NULL;
        }
        if (reply)
            return reply;
        if (!receive(connection, error, error_size))
            return NULL;
    }
}

bool connection_append(struct connection *connection, int argc, const char *const *argv,
                       const size_t *lengths, char *error, size_t error_size)
{
    char *command;
    // hiredis 0.14 wants its arguments neither const nor changed.
    long long len = redisFormatCommandArgv(&command, argc, (const char **)argv, lengths);
    bool ok;

    if (len < 0)
        return out_of_memory(error, error_size);
    ok = buf_append(&connection->out, command, (size_t)len);
    redisFreeCommand(command);
    return ok || out_of_memory(error, error_size);
}

struct redisReply *connection_ask(struct connection *connection, int argc, const char *const *argv,
                                  char *error, size_t error_size)
{
    size_t lengths[ASK_ARGS_MAX];

    for (int i = 0; i < argc; i++)
        lengths[i] = strlen(argv[i]);
    if (!connection_append(connection, argc, argv, lengths, error, error_size))
        return NULL;
    return connection_reply(connection, error, error_size);
}

void connection_explain(const struct connection *connection, const char *said, const char *remedy,
                        char *error, size_t error_size)
{
    static const struct {
        const char *prefix, *remedy;
    } remedies[] = {
        {"NOAUTH", "; give user and password in the URL: redis://USER:PASSWORD@HOST"},
        {"WRONGPASS", "; check user and password in the URL (in it, % is written %25)"},
        {"NOPERM", "; the ACL of this user must allow it: +publish and &CHANNEL"},
        {"MOVED", "; it is part of a cluster: use redis+cluster://HOST:PORT (with TLS rediss+cluster://)"},
    };
    int len = (int)strnlen(said, 200);

    for (size_t i = 0; remedy == NULL && i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        if (strncmp(said, remedies[i].prefix, strlen(remedies[i].prefix)) == 0)
            remedy = remedies[i].remedy;
    }
    if (len > 0 && said[len - 1] == '.')
        len--;
    snprintf(error, error_size, "%s refused: %.*s%s", connection->name, len, said, remedy ? remedy : "");
}

// A command that answers OK.
static bool command(struct connection *connection, int argc, const char *const *argv, char *error,
                    size_t error_size)
{
    struct redisReply *reply = connection_ask(connection, argc, argv, error, error_size);
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;

    if (reply && !ok)
        connection_explain(connection, reply->str, NULL, error, error_size);
    freeReplyObject(reply);
    return ok;
}

static bool authenticate(struct connection *connection, const struct redis_url *url, char *error,
                         size_t error_size)
{
    if (url->password == NULL)
        return true;
    if (url->user)
        return command(connection, 3, (const char *[]){"AUTH", url->user, url->password}, error, error_size);
    return command(connection, 2, (const char *[]){"AUTH", url->password}, error, error_size);
}

static bool select_db(struct connection *connection, unsigned db, char *error, size_t error_size)
{
    char number[16];

    if (db == 0)
        return true;
    snprintf(number, sizeof(number), "%u", db);
    return command(connection, 2, (const char *[]){"SELECT", number}, error, error_size);
}

static bool open_socket(struct connection *connection, const struct redis_url *url, char *error,
                        size_t error_size)
{
    char reason[256];

    connection->fd = url->kind == REDIS_URL_UNIX
                         ? socket_open_unix(url->unix_path, connection->timeout_ms, reason, sizeof(reason))
                         : socket_open_tcp(url->endpoints[0].host, url->endpoints[0].port,
                                           connection->timeout_ms, reason, sizeof(reason));
    if (connection->fd < 0)
        snprintf(error, error_size, "cannot reach %s: %s", connection->name, reason);
    return connection->fd >= 0;
}

static bool start_tls(struct connection *connection, const struct redis_url *url, char *error,
                      size_t error_size)
{
    ssize_t done;

    if (!url->tls)
        return true;
    connection->tls_context = redis_tls_context_create(&url->tls_files, error, error_size);
    if (connection->tls_context == NULL)
        return false;
    connection->tls = redis_tls_create(connection->tls_context, connection->fd, connection->host);
    if (connection->tls == NULL)
        return out_of_memory(error, error_size);
    done = redis_tls_handshake(connection->tls);
    if (done == REDIS_TLS_WAIT)
        snprintf(error, error_size, "no answer from %s within %llu ms; a server without TLS is redis://",
                 connection->name, (unsigned long long)connection->timeout_ms);
    else if (done != 1)
        snprintf(error, error_size, "cannot reach %s: %s", connection->name,
                 redis_tls_error(connection->tls));
    return done == 1;
}

static struct connection *create(uint64_t timeout_ms)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->fd = -1;
    connection->timeout_ms = timeout_ms;
    connection->reader = redisReaderCreate();
    if (connection->reader)
        return connection;
    free(connection);
    return NULL;
}

struct connection *connection_open(const struct redis_url *url, uint64_t timeout_ms, char *error,
                                   size_t error_size)
{
    struct connection *connection = create(timeout_ms);

    if (connection == NULL) {
        (void)out_of_memory(error, error_size);
        return NULL;
    }
    redis_url_describe(url, connection->name, sizeof(connection->name));
    if (url->endpoint_count > 0)
        snprintf(connection->host, sizeof(connection->host), "%s", url->endpoints[0].host);
    if (open_socket(connection, url, error, error_size) && start_tls(connection, url, error, error_size) &&
        authenticate(connection, url, error, error_size) && select_db(connection, url->db, error, error_size))
        return connection;
    connection_close(connection);
    return NULL;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    if (connection->fd >= 0)
        (void)close(connection->fd); // all answers have come, or the connection is given up
    redis_tls_destroy(connection->tls);
    redis_tls_context_destroy(connection->tls_context);
    redisReaderFree(connection->reader);
    buf_free(&connection->out);
    free(connection);
}

const char *connection_name(const struct connection *connection)
{
    return connection->name;
}

const char *connection_host(const struct connection *connection)
{
    return connection->host;
}
