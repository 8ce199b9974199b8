// A private redis-server on a unix socket in the scratch folder. It dies with the process that started it.
#pragma once

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "common/redis_url.h"

struct redis_server {
    pid_t pid; // 0: does not run
    int log;   // what it prints
    char socket[128];
    struct redis_url url; // of the server; user, password and db are the test's to set
};

// Starts a server, with `arguments` (ends with NULL; may be NULL) for redis-server's command line, and waits
// until it takes connections. All zero before the first start; a start after a kill uses the same socket.
void redis_server_start(struct redis_server *s, const char *const *arguments);
// As a crash does.
void redis_server_kill(struct redis_server *s);

// A connection of the ordinary, blocking kind.
redisContext *redis_server_connect(const struct redis_server *s);
// Sends a command and fails the test where the answer is an error. Returns the number answered, else 0.
long long redis_do(redisContext *c, const char *format, ...);
// The number after `field` in what INFO says.
long long redis_info(redisContext *c, const char *field);
