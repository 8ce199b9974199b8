// A queue of commands to one Redis server, on a connection of its own: sent in order, a bounded number of
// each class at a time; answered in order; sent again where the connection goes down, where Redis answers
// with an error that may pass, and where an answer does not come; handed to the queue of another server where
// a cluster says so (MOVED, ASK). A user embeds `struct command` and gives a `command_kind`. The bus thread's
// alone.
#pragma once

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/redis_url.h"
#include "gateway/fanout/counters.h"
#include "gateway/redis/redis_conn.h"

#define COMMAND_CLASSES_MAX 4u

struct command;

// An answer. A string of the reply above commands_settings.limits.bulk is a NIL; what is beyond limits.kept is
// left out.
struct command_answer {
    const redisReply *reply; // borrowed; an error among them. NULL: there will be none
    size_t bytes;            // of all strings of the reply, with those that were left out
};

// The behaviour that commands of one sort share; static. `ctx` is that of the queue that the command is in by
// then.
struct command_kind {
    unsigned class; // index of commands_settings.classes
    // The command is about this connection or server, whatever the slots are: it is handed to no other queue,
    // and forgotten with this one.
    bool of_connection;
    // Redis must not execute it twice: where the connection goes down after it was sent, it gets no answer.
    bool once;
    // Calls redis_conn_send() once, and returns what that returns.
    bool (*send)(const struct command *c, struct redis_conn *conn);
    // Whether `reply`, which is no error, can be the answer. Where it cannot, the connection is replaced. NULL:
    // any array can.
    bool (*fits)(const struct command *c, const redisReply *reply);
    // Whether an error is an answer. NULL: command_error_is_final.
    bool (*is_final)(const struct command *c, const char *error);
    // Takes the command.
    void (*answer)(void *ctx, struct command *c, const struct command_answer *answer);
    // Takes the command, which will not be sent again: its answer is not awaited any more, or the queue is
    // destroyed.
    void (*forget)(void *ctx, struct command *c);
    // Whether the answer to a command of some age is still awaited. NULL: it is not.
    bool (*is_awaited)(void *ctx, const struct command *c);
    // The connection was lost with the command in flight, perhaps for the size of the answer: the next one
    // may be asked for less. May be NULL.
    void (*lost)(void *ctx, struct command *c);
};

// `kind` is the user's to set; all else is the queue's.
struct command {
    TAILQ_ENTRY(command) in_list;
    const struct command_kind *kind;
    uint64_t asked_ms;
    double lost_since; // loop time of the first loss
    double due;        // loop time; of one that is delayed
    unsigned losses;   // connections that were lost with it in flight, in a row
    unsigned delays;   // in a row
};

TAILQ_HEAD(command_list, command);

struct command_class {
    size_t in_flight_max;
    size_t max; // commands in all, before commands_add() refuses one; 0: the user of the queue bounds them
};

struct commands;

struct commands_settings {
    const struct redis_url *url; // borrowed; as of redis_conn
    const char *purpose;         // for logs; static
    const char *client_name;     // borrowed
    struct counters *counters;   // borrowed
    struct command_class classes[COMMAND_CLASSES_MAX];
    struct redis_limits limits; // of replies; one beyond `elements` or `bytes` costs the connection
    // On a cluster: the queue of the node that has the command's slot now; NULL: of none for the moment. NULL
    // where there is but one server.
    struct commands *(*route)(void *ctx, const struct command *c);
    void (*on_ready)(void *ctx); // connected (again); may be NULL
    void (*on_down)(void *ctx);  // no longer connected; may be NULL
    // A command was answered with an error that is not final: it will be sent again. May be NULL.
    void (*on_refused)(void *ctx, const struct command *c, const char *error);
    // The node says that another one has the slot ("MOVED ..", see cluster_slots.h). May be NULL.
    void (*on_moved)(void *ctx, const char *error);
    // Of an ASK redirection (ask_redirect.h): the queue that gets back what cannot be answered; else NULL.
    struct commands *redirected_from;
    void *ctx;
};

// Begins to connect. `settings` is copied. NULL when out of memory.
struct commands *commands_create(struct ev_loop *loop, const struct commands_settings *settings);
// Commands that have not been answered go to the queues of their slots, or are forgotten.
void commands_destroy(struct commands *q);

// Takes the command, which is sent as soon as may be. False where its class is full: it stays the caller's.
bool commands_add(struct commands *q, struct command *c);

// Closes the connection and makes a new one, which may lead to another server. `why` is for the log.
void commands_reconnect(struct commands *q, const char *why);
bool commands_is_connected(const struct commands *q);
// Its connection, to be looked at.
const struct redis_conn *commands_conn(const struct commands *q);
// As redis_conn_fault.
const char *commands_connect_fault(const struct commands *q);
// No command waits or is in flight, or none can be sent: not connected, or ASKING is denied.
bool commands_is_idle(const struct commands *q);

// Errors that say that there will never be another answer; all others may be gone a little later.
bool command_error_is_final(const char *error);
