// Entries of a durable channel's stream in Redis, as the function sse_publish stores them (docs/protocol.md).
// Pure: replies in, frames out.
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/channel_ref.h"
#include "gateway/fanout/message.h"

// The id of an entry of an XRANGE reply, and the life of the history that it names: 0 where it names none.
// False where it is no entry, or was left out (redis_reader.h).
bool history_entry_event_id(const redisReply *entry, struct event_id *at, uint64_t *epoch);

// True where there has been a snapshot up to the entry, in this life of the history.
bool history_entry_has_snapshot(const redisReply *entry);

// True where the entry is the last event of its channel.
bool history_entry_ends(const redisReply *entry);

// Bytes of the fields of an entry, as far as they were kept.
size_t history_entry_size(const redisReply *entry);

// The frame of an entry; `before` is the id of the entry before it, or of none that comes behind it. An entry
// that no event stream can carry becomes gateway:gap for its offset, and one that the function did not write
// a gap behind `before`; `dropped` gets the reason, else COUNTER_COUNT. NULL where it is no entry, or when
// out of memory.
struct frame *history_entry_frame(const redisReply *entry, struct channel_ref channel, size_t max_message,
                                  struct event_id before, enum counter *dropped);
