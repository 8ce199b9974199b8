// A hub, its streams, and the bus, which the test plays: what each stream is given, in words. Events are
// written by their offset; event n was published in millisecond 1000 + n. The verbs have short names, as
// tests are made of them. Each verb leaves nothing to be fed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/hub.h"

enum { STREAMS = 64 };

struct hub_stream {
    struct subscriber subscriber; // first, so that callbacks can cast back
    bool open;
    enum subscriber_readiness readiness;
    unsigned room; // frames until its socket is full; 0: it never is
    unsigned opened;
    unsigned overs;  // frames with which all its channels had ended
    bool has_id;     // the frame before had an id line of its own
    char heard[512]; // "5 6 gap 9*", where event 9 is a snapshot
};

// There is one, which is made anew for each test.
extern struct hub_world {
    struct hub *hub;
    struct replay_budget budget;
    uint64_t now;               // ms
    struct channel_ref channel; // "a", which verbs are about

    // What the bus was asked.
    unsigned asked, interests;
    struct history_query query; // the last one
    uint64_t last_seq;
    bool wanted;
    bool bus_has_memory; // as the test sets it

    // What is published from now on.
    uint64_t life; // the millisecond before the first event of the history
    size_t event_size;
    uint64_t snapshot; // the event that is one; 0: none is
    uint64_t end;      // the offset of the event that ends the channel; 0: none does

    struct hub_stream streams[STREAMS];
} world;

// For TESTS_WITH. The teardown checks that nothing is held once all streams have left.
void hub_world_setup(void);
void hub_world_teardown(void);
// What setup does with true: the channel is known to have durable events only.
void hub_world_create_hub(bool durable_named);

// The id of an event; zero is before the first.
struct event_id place(uint64_t offset);

// Streams.
void join(size_t stream, enum hub_from from, uint64_t at);
void join_at(size_t stream, enum hub_from from, struct event_id at);
void leave(size_t stream);
// What the stream was given since the test asked last.
const char *heard(size_t stream);

// Redis and the bus.
void live(uint64_t offset);
void confirm(uint64_t last);
void confirm_without_history(void);
// The answer to a query: of what Redis keeps first..last, none where last is 0.
void answer(struct history_query to, uint64_t first, uint64_t last, bool at_end);
// The answer to the last query, which was for a page from `from` on.
void page(uint64_t from, uint64_t first, uint64_t last, bool at_end);
void page_fails(uint64_t from);

void later(uint64_t ms);
// After what a test did to the hub itself.
void feed(void);
