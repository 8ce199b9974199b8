// Entries of a durable channel's stream in Redis, as the function sse_publish stores them (docs/protocol.md).
// Pure: replies in, frames out.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

#include "gateway/fanout/message.h"

// Where an entry of an XRANGE reply stands, and in which life of the history: 0 where it does not say. False
// where it is none.
bool history_entry_event_id(const redisReply *entry, struct event_id *at, uint64_t *epoch);

// Bytes of an entry's fields.
size_t history_entry_size(const redisReply *entry);

// The frame of an entry; one that no event stream can carry becomes gateway:gap for its offset, one that
// sse_publish did not write a gateway:gap without offsets, and `dropped` the reason (else COUNTER_COUNT). `prev` is the entry before it, for one that does not say so itself. NULL
// when out of memory.
struct frame *history_entry_frame(const redisReply *entry, struct channel_ref channel, size_t max_message,
                                  struct event_id prev, enum counter *dropped);
