// Reads the answers of sentinels. Pure.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/redis_url.h"

struct sentinel_master {
    struct redis_address address; // its host "": nothing is known
    uint64_t epoch; // of the failover that made it the master: of two answers, the higher epoch is right
};

enum sentinel_verdict {
    SENTINEL_FOUND,
    SENTINEL_NO_ADDRESS,   // the sentinel has the name, and no address yet
    SENTINEL_IS_REPLICA,   // the server that it takes for the master says that it is a replica
    SENTINEL_UNKNOWN_NAME, // the sentinel watches no master of that name
    SENTINEL_REFUSES,      // an error; `reply->str`
};

// Of SENTINEL GET-MASTER-ADDR-BY-NAME: the address.
enum sentinel_verdict sentinel_read_address(const redisReply *reply, struct sentinel_master *out);
// Of SENTINEL MASTER, for the address above: the epoch. An answer that cannot be read leaves 0.
enum sentinel_verdict sentinel_read_details(const redisReply *reply, struct sentinel_master *out);
// Of a message of the channel +switch-master ("NAME oldip oldport ip port"): whether it is about `name`, and
// then the new address.
bool sentinel_read_switch(const redisReply *reply, const char *name, struct sentinel_master *out);
