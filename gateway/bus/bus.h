// The bus owns every connection to Redis. It records which worker wants which channel, subscribes to those
// channels, and turns each message into one frame for the workers that want it. The bus never waits for a
// worker: the socket to Redis is always drained. It has a thread of its own, or runs in the loop of the only
// worker: a message that comes alone then crosses no thread.
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_url.h"
#include "gateway/bus/bus_tier.h"
#include "gateway/bus/bus_view.h"
#include "gateway/bus/busy_channels.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/message.h"
#include "gateway/threads/mailbox.h"

struct bus;

#define BUS_FAULT_MAX 512u // bytes, terminated

struct bus_settings {
    struct ev_loop *loop; // of the only worker, borrowed; NULL: the bus gets a loop and a thread of its own
    const struct redis_url *redis; // borrowed, of any kind
    bool sharded;                  // sharded Pub/Sub
    const char *client_name;       // borrowed
    size_t max_message;            // bytes
    struct payload_policy payload; // borrowed rules
    const char *const *durable;    // borrowed: patterns of channels that may have a history
    size_t durable_count;
    bool asks;                       // workers may post MAIL_ASK
    bool revokes;                    // revocations are listened to, and told by MAIL_ANSWER and MAIL_RECHECK
    struct revocations *revocations; // borrowed: loaded where `revokes`; NULL: workers ask about every token
    const char *lease_owner;         // borrowed: of this process; NULL: it takes no leases
    struct bus_tier tier;            // its `announce` NULL: nothing is announced
    struct mailbox *const *workers;  // borrowed; where frames go, by index
    size_t worker_count;
};

// NULL when out of memory. `settings` is copied. The thread is not running yet.
struct bus *bus_create(const struct bus_settings *settings);
// False where the thread cannot be created. No effect where the bus runs in a worker's loop.
bool bus_start(struct bus *b);
// Where workers post: MAIL_WANTED, MAIL_UNWANTED, MAIL_HISTORY, MAIL_ASK. Any thread; in a worker's loop, that
// worker's.
struct mailbox *bus_mailbox(struct bus *b);
// Reads the connections to Redis now, without waiting for the loop to report them readable; posts mails and
// calls no worker. On the bus' thread.
void bus_read(struct bus *b);
// Ends the thread and waits for it. After the workers have stopped, before they are destroyed.
void bus_stop(struct bus *b);
// After bus_stop, or where the thread was never started; before the loop is destroyed. `b` may be NULL.
void bus_destroy(struct bus *b);

// Read by any thread.
bool bus_is_proven(const struct bus *b); // a canary came back lately: what is published is delivered
// Why it is not proven, in one line; empty exactly where it is. `out` has room for BUS_FAULT_MAX bytes.
void bus_fault(struct bus *b, char *out);
// What the bus is connected to, at most a second ago; bus_view_free follows. False when out of memory.
bool bus_look(struct bus *b, struct bus_view *out);
const struct counters *bus_counters(const struct bus *b);
// Which channels are busy, for one that watches.
struct busy_channels *bus_busy_channels(struct bus *b);
uint64_t bus_alive_at(const struct bus *b); // monotonic milliseconds of the last tick
