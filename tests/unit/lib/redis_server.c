#include "tests/unit/lib/redis_server.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib/scratch.h"

#define ARGUMENTS_MAX 32
#define START_PATIENCE_MS 10000

static void exec_server(const struct redis_server *s, const char *const *arguments)
{
    const char *argv[ARGUMENTS_MAX] = {"redis-server", "--port",     "0",     "--unixsocket",
                                       s->socket,      "--save",     "",      "--dir",
                                       scratch_dir(),  "--loglevel", "notice"};
    size_t argc = 11;
    for (; arguments && *arguments && argc < ARGUMENTS_MAX - 1; arguments++)
        argv[argc++] = *arguments;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    printf("cannot run redis-server: install the package redis-server\n");
    _exit(127);
}

static void wait_until_ready(const struct redis_server *s)
{
    char text[16384];
    size_t len = 0;
    struct pollfd log = {.fd = s->log, .events = POLLIN};
    do {
        ck_assert_msg(poll(&log, 1, START_PATIENCE_MS) == 1, "redis-server does not start");
        ssize_t n = read(s->log, text + len, sizeof text - 1 - len);
        ck_assert_msg(n > 0, "redis-server ended: %.*s", (int)len, text);
        len += (size_t)n;
        text[len] = '\0';
    } while (!strstr(text, "eady to accept connections"));
}

void redis_server_start(struct redis_server *s, const char *const *arguments)
{
    int out[2];
    snprintf(s->socket, sizeof s->socket, "%s", scratch_path("redis.sock"));
    s->url.kind = REDIS_URL_UNIX;
    s->url.unix_path = s->socket;
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    ck_assert_int_ge(s->pid, 0);
    if (s->pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        exec_server(s, arguments);
    }
    close(out[1]);
    s->log = out[0];
    wait_until_ready(s);
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid == 0)
        return;
    ck_assert_int_eq(kill(s->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
    close(s->log);
    s->pid = 0;
}

redisContext *redis_server_connect(const struct redis_server *s)
{
    redisContext *c = redisConnectUnix(s->socket);
    ck_assert_ptr_nonnull(c);
    ck_assert_msg(c->err == 0, "%s", c->errstr);
    return c;
}

long long redis_do(redisContext *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(c, format, args);
    va_end(args);
    ck_assert_msg(reply != NULL, "%s: %s", format, c->errstr);
    ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
    long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return number;
}

long long redis_info(redisContext *c, const char *field)
{
    redisReply *reply = redisCommand(c, "INFO");
    ck_assert_msg(reply && reply->type == REDIS_REPLY_STRING, "INFO has no answer");
    const char *at = strstr(reply->str, field);
    ck_assert_msg(at && at[strlen(field)] == ':', "INFO does not say %s", field);
    long long number = atoll(at + strlen(field) + 1);
    freeReplyObject(reply);
    return number;
}
