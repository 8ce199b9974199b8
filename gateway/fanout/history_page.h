// The protocol of history between threads: a hub asks the bus for a page of a durable channel's history, and
// is told how far the history has got each time that Redis confirms the channel. Values only; they travel in
// mails.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"
#include "gateway/fanout/event_id.h"

#define HISTORY_PAGE_ENTRIES_MAX 256u
// A page of fewer may hold nothing new: its first entry may be the event at query.from.
#define HISTORY_PAGE_ENTRIES_MIN 2u
// Bytes after which a page has no further entries, however many were asked for.
#define HISTORY_PAGE_BYTES (1u << 20)

// How far a channel's history has got, as of a confirmed subscription.
struct history_tail {
    bool has_history;       // it can be read; the fields below count
    struct event_id last;   // the newest event; zero where there has been none yet
    uint64_t epoch;         // of that event: which life of the history it belongs to
    bool has_snapshot;      // there has been a snapshot in this life; it may not be kept any more
    bool ended;             // that event is the last one of the channel
    uint64_t subscribe_seq; // the newest one of the hub, for any channel, that had reached the bus
};

// A hub asks for part of a channel's history. The answer is a history_page with the same number.
struct history_query {
    uint32_t number;
    uint32_t entries;     // at most; HISTORY_PAGE_ENTRIES_MIN or more
    struct event_id from; // this entry included
};

// What Redis keeps from query.from on, or the first part of it (`at_end` false). Frames carry a reference
// each.
struct history_page {
    struct history_query query; // with the entries that Redis was asked for in the end
    bool at_end;
    bool failed; // it cannot be read
    struct frame *const *frames;
    size_t count;
    size_t largest; // bytes of the largest entry as Redis sent it, which may have become a small gateway:gap
};
