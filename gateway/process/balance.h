// How many streams this gateway ends so that the tier gets level: what it sees of the tier goes in, a number comes out.
// Pure: the time is an argument.
//
// The target is the share of all streams that belongs to a gateway's part of all capacity. There is an *imbalance*
// where this gateway has BALANCE_SURPLUS_MIN streams more than its target, and either it is above target x (1 +
// tolerance), or another is below its own target x (1 - tolerance): where ten gateways are joined by an eleventh, none
// is far above the mean. An imbalance that lasts begins a *round*: the gateway ends its surplus at a bounded rate, and
// stops at the target. Streams that were ended and have not come back yet are counted by no gateway: so the target of
// a round never falls, and all streams are the most that there were lately. No round goes below the mean.
//
// Between rounds there is a *quiet time*, in which streams come back and are announced. It begins anew whenever
// gateways come or go, or balancing is not allowed. After it, every gateway must have been heard once more. Where the
// streams of a round came back to this gateway, the front does not look at connections, and the quiet times get
// longer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALANCE_SURPLUS_MIN 3u // a smaller surplus is left alone, whatever the tolerance
#define BALANCE_TICK_MS 100u   // between two steps
// Rounds in vain, each followed by a quiet time twice as long; then none until gateways come or go: another gateway may
// be one that the front does not know.
#define BALANCE_IN_VAIN_MAX 6u

struct balance_settings {
    double tolerance;   // above 0
    uint64_t rate;      // streams per second, at least 1
    uint64_t settle_ms; // of quiet times; an imbalance must last as long
    uint64_t return_ms; // in which a client whose stream was ended comes back, at the latest
    bool dry_run;       // a round is announced and not begun
};

// What the gateway sees now.
struct balance_view {
    uint64_t now_ms;
    bool is_allowed;               // by what is known of Redis, drains, and the tier
    uint64_t own, own_capacity;    // streams
    uint64_t others, all_capacity; // streams of the others; capacity of all, this gateway included
    uint64_t lowest,
        lowest_capacity;     // streams of the other that has the least for its capacity; 0 and 0: none
    uint64_t members;        // peers_sum
    uint64_t oldest_news_ms; // peers_sum
    uint64_t moved;          // streams that were ended in all rounds since the start
};

enum balance_event {
    BALANCE_NONE,
    BALANCE_BEGUN,   // a round begins; with dry_run it would begin, and nothing follows
    BALANCE_DONE,    // the round has reached its end
    BALANCE_STOPPED, // the round was given up: the tier has changed, or balancing is not allowed any more
    BALANCE_IN_VAIN, // the streams of the last round have come back to this gateway
};

struct balance_step {
    uint64_t end;        // streams to end now
    uint64_t min_age_ms; // none that is younger: it may have been moved here a moment ago
    enum balance_event event;
};

// All zero but the settings is a start.
struct balance {
    struct balance_settings settings;
    uint64_t target, surplus;         // as of the last step
    bool is_running;                  // a round is going on
    uint64_t left;                    // of the round: streams that it may still end
    uint64_t keep;                    // of the round: streams that this gateway keeps
    double credit;                    // of the round: parts of streams that the rate has allowed so far
    uint64_t last_ms;                 // of the last step of the round
    uint64_t begun_with, begun_moved; // of the last round: own streams, and moved ones, when it began
    bool is_unproved;                 // the last round has ended streams, and its effect was not judged yet
    unsigned in_vain;                 // rounds in a row after which streams came back to this gateway
    uint64_t quiet_until_ms;
    uint64_t imbalance_ms; // since when there is an imbalance; 0: there is none
    uint64_t members;
    uint64_t window_ms, most,
        most_before; // most streams of the tier: since window_ms, and in the window before
};

// The streams that are this gateway's share by what it sees now.
uint64_t balance_target(const struct balance_view *v);
// Called every BALANCE_TICK_MS.
struct balance_step balance_step(struct balance *b, const struct balance_view *v);
