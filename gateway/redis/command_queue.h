// The lists in which the commands of a queue stand: they wait, are in flight, or are delayed. commands.c
// sends them and takes the answers; no other file includes this. The bus thread's alone.
#pragma once

#include "gateway/redis/ask_redirect.h"
#include "gateway/redis/commands.h"

#define COMMAND_DELAYS 5u

// Each class has a list of waiting commands of its own: where a class has `in_flight_max` commands in flight,
// its list is not searched.
struct command_list_class {
    struct command_list waiting;
    size_t in_flight, count;
};

struct commands {
    struct commands_settings settings;
    struct ev_loop *loop;
    struct redis_conn *conn;
    struct ask_redirect *ask_redirect; // NULL: this queue serves one itself, or there is no cluster
    struct command_list_class classes[COMMAND_CLASSES_MAX];
    struct command_list sent;                    // in the order of the answers
    struct command_list delayed[COMMAND_DELAYS]; // a list for each length of delay, in the order of `due`
    uint64_t sent_count, answered_count;         // on this connection
    uint64_t ping_after;                         // sent_count at the oldest PING whose answer has not come
    unsigned pings;                              // PINGs whose answer has not come
    ev_timer retry;                              // the next one that is due
    ev_timer answer;                             // runs while something is in flight
    double heard;                                // loop time of the last part of an answer that `answer` saw
    size_t heard_bytes;                          // of that answer
    bool replacing;                              // the queue itself takes the connection down
    // Of an ASK redirection: the last ASKING was answered, its command was not; ASKING is denied.
    bool granted, refused;
    bool told_refused;
};

// All lists empty; `retry` sends what is due by queue_send().
void queue_init(struct commands *q, struct ev_loop *loop);
void queue_stop(struct commands *q);
// Hands every command to the queue of its slot, or forgets it.
void queue_empty(struct commands *q);

struct command_list_class *queue_class(struct commands *q, const struct command *c);
// The queue to ask `c` at: `q` itself, that of another node, or NULL where no node has its slot.
struct commands *queue_of(struct commands *q, const struct command *c);

// These take a command that is in no list, but in the count of its class. The command is sent again a little
// later, each time after a longer delay; one of an ASK redirection at the owner of the slot.
void queue_delay(struct commands *q, struct command *c);
void queue_hand_over(struct commands *q, struct commands *to, struct command *c);
void queue_answer(struct commands *q, struct command *c, const redisReply *reply);
// Calls queue_send() a little later.
void queue_retry(struct commands *q);
// A new command: it waits. False where its class is full.
bool queue_add(struct commands *q, struct command *c);

// In commands.c: sends the commands that wait, as far as in_flight_max allows.
void queue_send(struct commands *q);
