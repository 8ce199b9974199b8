// One entry of a history as Redis answers it (docs/protocol.md, "Durable events"). Pure but for hiredis' reply.
#pragma once

#include "publisher-cli/message.h"

#include <stdbool.h>
#include <stdint.h>

struct redisReply;

struct history_id {
    uint64_t epoch, offset; // written EPOCH.OFFSET
};

// Borrows from the reply.
struct history_entry {
    const char *stream_id; // of Redis: MS-OFFSET; terminated
    uint64_t time_ms;      // Unix time
    struct history_id id;
    struct span event, retry, data;
    struct span key;  // empty: none
    uint64_t end_s;   // how long the history lasts after this event, its last one; 0: it is not
    bool is_snapshot; // it stands for all before it
};

// False where it is nothing that sse_publish wrote.
bool history_entry_read(const struct redisReply *reply, struct history_entry *entry);

bool history_id_read(const char *text, struct history_id *id);
