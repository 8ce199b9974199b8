// Events that `sse-publish doctor` publishes and waits for at the other end: when each left, and when it came.
#pragma once

#include "publisher-cli/connection.h"
#include "publisher-cli/failure.h"
#include "publisher-cli/settings.h"
#include "publisher-cli/sse_parser.h"

#define DOCTOR_EVENTS 5
#define DOCTOR_EVENTS_MS 1500 // that they take

struct doctor_events {
    const char *channel; // borrowed
    struct publisher *publisher;
    struct redis_url url;
    struct redis_target target;
    uint64_t receivers; // gateways that got the first one
    int sent;
    uint64_t sent_ms[DOCTOR_EVENTS], came_ms[DOCTOR_EVENTS]; // of the monotonic clock; 0: not yet
    uint64_t next_ms;
    bool has_failed;
    struct failure failure;
};

// False where Redis is not to be had; the failure is in `events`, which is for doctor_events_deinit in any case.
bool doctor_events_init(struct doctor_events *events, const struct settings *settings, const char *channel);
void doctor_events_deinit(struct doctor_events *events);

// Publishes what is due; the first is due at the first call. Milliseconds until the next, or INT64_MAX.
int64_t doctor_events_turn(struct doctor_events *events);
void doctor_events_hear(struct doctor_events *events, const struct sse_event *event);
// The longest way of an event that came, in milliseconds; *lost is how many did not.
uint64_t doctor_events_slowest(const struct doctor_events *events, int *lost);
