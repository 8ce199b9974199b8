#include "publisher-cli/connection.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/tls.h"
#include "common/transport.h"
#include "publisher-cli/socket.h"

#include <assert.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE 16384
// Milliseconds without a byte after which a connection is checked by PING before it is used.
#define QUIET_MS 1000

struct connection {
    struct tls_context *tls_context; // NULL: plain
    struct transport transport;
    redisReader *reader;
    struct buf out;
    uint64_t timeout_ms;
    uint64_t gathered, sent; // bytes
    uint64_t heard_ms;       // of the monotonic clock
    bool is_lost, is_sentinel;
    char name[256], host[REDIS_HOST_SIZE];
};

void command_begin(struct command *command)
{
    command->argc = 0;
}

void command_add(struct command *command, const char *bytes, size_t len)
{
    assert(command->argc < COMMAND_ARGS_MAX);
    command->argv[command->argc] = bytes;
    command->lengths[command->argc++] = len;
}

void command_add_text(struct command *command, const char *text)
{
    command_add(command, text, strlen(text));
}

// `outcome` is TRANSPORT_*. The socket blocks: it waits no longer than its timeout.
static bool lost(const struct connection *connection, ssize_t outcome, struct failure *failure)
{
    if (outcome == TRANSPORT_WAIT_READ || outcome == TRANSPORT_WAIT_WRITE)
        return failure_set(failure, "no answer from %s within %llu ms", connection->name,
                           (unsigned long long)connection->timeout_ms);
    return failure_set(failure, "lost the connection to %s: %s", connection->name,
                       transport_error(&connection->transport));
}

static bool send_all(struct connection *connection, struct failure *failure)
{
    size_t sent = 0;
    while (sent < connection->out.len) {
        const struct iovec rest = {connection->out.data + sent, connection->out.len - sent};
        ssize_t n = transport_writev(&connection->transport, &rest, 1);
        if (n < 0)
            return lost(connection, n, failure);
        sent += (size_t)n;
        connection->sent += (uint64_t)n;
    }
    buf_clear(&connection->out);
    return true;
}

static bool receive(struct connection *connection, struct failure *failure)
{
    char bytes[READ_SIZE];
    ssize_t n = transport_read(&connection->transport, bytes, sizeof bytes);
    if (n == TRANSPORT_END)
        return failure_set(failure, "%s closed the connection", connection->name);
    if (n < 0)
        return lost(connection, n, failure);
    connection->heard_ms = clock_monotonic_ms();
    return redisReaderFeed(connection->reader, bytes, (size_t)n) == REDIS_OK ||
           failure_out_of_memory(failure);
}

// What was received already. False where it makes no sense.
static bool next_reply(struct connection *connection, void **reply, struct failure *failure)
{
    return redisReaderGetReply(connection->reader, reply) == REDIS_OK ||
           failure_set(failure, "%s does not speak Redis' protocol: %s", connection->name,
                       connection->reader->errstr);
}

static bool get_reply(struct connection *connection, void **reply, struct failure *failure)
{
    *reply = NULL;
    if (!send_all(connection, failure))
        return false;
    for (;;) {
        if (!next_reply(connection, reply, failure))
            return false;
        if (*reply)
            return true;
        if (!receive(connection, failure))
            return false;
    }
}

struct redisReply *connection_reply(struct connection *connection, struct failure *failure)
{
    void *reply;
    connection->is_lost = !get_reply(connection, &reply, failure);
    return reply;
}

// True where bytes have come, or are in the buffers of TLS.
static bool has_bytes(struct connection *connection, uint64_t ms)
{
    struct pollfd fd = {.fd = connection->transport.fd, .events = POLLIN};
    return transport_has_more(&connection->transport) || poll(&fd, 1, (int)ms) > 0;
}

struct redisReply *connection_reply_within(struct connection *connection, uint64_t ms, bool *is_late,
                                           struct failure *failure)
{
    void *reply = NULL;
    uint64_t deadline = clock_monotonic_ms() + ms;
    *is_late = false;
    for (;;) {
        if (!next_reply(connection, &reply, failure) || reply)
            break;
        uint64_t now = clock_monotonic_ms();
        *is_late = !has_bytes(connection, now < deadline ? deadline - now : 0);
        if (*is_late || !receive(connection, failure))
            break;
    }
    connection->is_lost = !reply && !*is_late;
    return reply;
}

uint64_t connection_gathered(const struct connection *connection)
{
    return connection->gathered;
}

uint64_t connection_sent(const struct connection *connection)
{
    return connection->sent;
}

// True where the server has sent nothing unasked: neither the end of the connection nor an error before it.
// TLS may have records of its own to read, so it is not enough to poll.
static bool is_silent(struct connection *connection)
{
    char byte;
    int flags = fcntl(connection->transport.fd, F_GETFL);
    if (flags < 0 || fcntl(connection->transport.fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return false;
    ssize_t n = transport_read(&connection->transport, &byte, sizeof byte);
    bool is_silent = n == TRANSPORT_WAIT_READ || n == TRANSPORT_WAIT_WRITE;
    return fcntl(connection->transport.fd, F_SETFL, flags) == 0 && is_silent;
}

bool connection_is_usable(struct connection *connection)
{
    if (connection->is_lost || !is_silent(connection))
        return false;
    if (clock_monotonic_ms() - connection->heard_ms < QUIET_MS)
        return true;
    struct failure ignored; // any answer will do, even an error
    struct redisReply *reply = connection_ask(connection, (const char *[]){"PING", NULL}, &ignored);
    freeReplyObject(reply);
    return reply != NULL;
}

bool connection_append(struct connection *connection, const struct command *command, struct failure *failure)
{
    char *bytes;
    // hiredis 0.14 wants its arguments neither const nor changed.
    long long len =
        redisFormatCommandArgv(&bytes, command->argc, (const char **)command->argv, command->lengths);
    if (len < 0)
        return failure_out_of_memory(failure);
    bool ok = buf_append(&connection->out, bytes, (size_t)len);
    redisFreeCommand(bytes);
    connection->gathered += ok ? (uint64_t)len : 0;
    return ok || failure_out_of_memory(failure);
}

struct redisReply *connection_ask(struct connection *connection, const char *const *words,
                                  struct failure *failure)
{
    struct command command;
    command_begin(&command);
    for (; *words; words++)
        command_add_text(&command, *words);
    return connection_append(connection, &command, failure) ? connection_reply(connection, failure) : NULL;
}

bool connection_refused(const struct connection *connection, const char *said, const char *remedy,
                        struct failure *failure)
{
    static const char sentinels_own[] = "; its own password comes from --redis-sentinel-password-file";
    static const struct {
        const char *prefix, *remedy;
    } remedies[] = {
        {"NOAUTH", "; give user and password in the URL (redis://USER:PASSWORD@HOST), or "
                   "--redis-password-file"},
        {"WRONGPASS", "; check user and password in the URL (in it, % is written %25), or "
                      "--redis-password-file"},
        {"NOPERM", "; the ACL of this user must allow it"},
        {"READONLY",
         "; it is a replica: give its master, or redis+sentinel:// with the sentinels that know it"},
        {"MOVED", "; it is part of a cluster: use redis+cluster://HOST:PORT (with TLS rediss+cluster://)"},
    };
    int len = (int)strnlen(said, 200);
    if (connection->is_sentinel && (strncmp(said, "NOAUTH", 6) == 0 || strncmp(said, "WRONGPASS", 9) == 0))
        remedy = sentinels_own;
    for (size_t i = 0; remedy == NULL && i < sizeof remedies / sizeof *remedies; i++) {
        if (strncmp(said, remedies[i].prefix, strlen(remedies[i].prefix)) == 0)
            remedy = remedies[i].remedy;
    }
    if (len > 0 && said[len - 1] == '.')
        len--;
    return failure_set(failure, "%s refused: %.*s%s", connection->name, len, said, remedy ? remedy : "");
}

// A command that answers OK.
static bool do_command(struct connection *connection, const char *const *words, struct failure *failure)
{
    struct redisReply *reply = connection_ask(connection, words, failure);
    if (reply == NULL)
        return false;
    bool ok = reply->type != REDIS_REPLY_ERROR || connection_refused(connection, reply->str, NULL, failure);
    freeReplyObject(reply);
    return ok;
}

static bool authenticate(struct connection *connection, const struct redis_url *url, struct failure *failure)
{
    if (url->password == NULL)
        return true;
    if (url->user)
        return do_command(connection, (const char *[]){"AUTH", url->user, url->password, NULL}, failure);
    return do_command(connection, (const char *[]){"AUTH", url->password, NULL}, failure);
}

static bool select_db(struct connection *connection, unsigned db, struct failure *failure)
{
    char number[16];
    snprintf(number, sizeof number, "%u", db);
    return db == 0 || do_command(connection, (const char *[]){"SELECT", number, NULL}, failure);
}

static bool open_socket(struct connection *connection, const struct redis_url *url, struct failure *failure)
{
    struct failure reason;
    int fd = url->kind == REDIS_URL_UNIX
                 ? socket_open_unix(url->unix_path, connection->timeout_ms, &reason)
                 : socket_open_tcp(connection->host, url->endpoints[0].port, connection->timeout_ms, &reason);
    transport_init(&connection->transport, fd);
    return connection->transport.fd >= 0 ||
           failure_set(failure, "cannot reach %s: %.200s", connection->name, reason.text);
}

static bool start_tls(struct connection *connection, const struct redis_url *url, struct failure *failure)
{
    if (!url->tls)
        return true;
    connection->tls_context =
        tls_context_create(&url->tls_files, "redis", failure->text, sizeof failure->text);
    if (connection->tls_context == NULL)
        return false;
    if (!transport_start_tls(&connection->transport, connection->tls_context, connection->host))
        return failure_out_of_memory(failure);
    ssize_t done = transport_handshake(&connection->transport);
    if (done == TRANSPORT_WAIT_READ || done == TRANSPORT_WAIT_WRITE)
        return failure_set(failure, "no answer from %s within %llu ms; a server without TLS is redis://",
                           connection->name, (unsigned long long)connection->timeout_ms);
    return done == 0 || failure_set(failure, "cannot reach %s: %s", connection->name,
                                    transport_error(&connection->transport));
}

static struct connection *create(const struct redis_target *target)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    transport_init(&connection->transport, -1);
    connection->timeout_ms = target->timeout_ms;
    connection->heard_ms = clock_monotonic_ms();
    connection->reader = redisReaderCreate();
    if (connection->reader == NULL) {
        free(connection);
        return NULL;
    }
    connection->is_sentinel = target->is_sentinel;
    int prefix =
        snprintf(connection->name, sizeof connection->name, "%s", target->is_sentinel ? "the sentinel " : "");
    redis_url_describe(target->url, connection->name + prefix, sizeof connection->name - (size_t)prefix);
    if (target->url->endpoint_count > 0)
        snprintf(connection->host, sizeof connection->host, "%s", target->url->endpoints[0].host);
    return connection;
}

struct connection *connection_open(const struct redis_target *target, struct failure *failure)
{
    const struct redis_url *url = target->url;
    struct connection *connection = create(target);
    if (connection == NULL) {
        (void)failure_out_of_memory(failure);
        return NULL;
    }
    if (open_socket(connection, url, failure) && start_tls(connection, url, failure) &&
        authenticate(connection, url, failure) && select_db(connection, url->db, failure))
        return connection;
    connection_close(connection);
    return NULL;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    transport_close(&connection->transport); // every answer has come, or the connection is given up
    tls_context_destroy(connection->tls_context);
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
