// What a gateway announces of itself to the other gateways of its tier, by ANNOUNCEMENT_CHANNEL (docs/protocol.md,
// "Announcements"): from values to JSON and back. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCEMENT_CHANNEL "sse:gateways"
#define ANNOUNCEMENT_MAX 1024u // bytes of a whole one
#define ANNOUNCEMENT_ID_MAX 128u
#define ANNOUNCEMENT_VERSION_MAX 32u

struct announcement {
    char id[ANNOUNCEMENT_ID_MAX +
            1]; // printable ASCII without blanks, quotes and backslashes; so is `version`
    char version[ANNOUNCEMENT_VERSION_MAX + 1];
    uint64_t run; // a random number of this life of the process: two gateways may have one id, by mistake
    uint64_t connections, capacity; // streams: open, and allowed (at least 1)
    uint32_t every_ms;              // until its next announcement
    bool draining, ready;
    bool rebalancing; // it ends streams, for others to get them
    bool leaving;     // this is its last announcement
};

// False where `text` is no announcement. Members that are not known are ignored.
bool announcement_parse(const char *text, size_t len, struct announcement *out);
// The text, which the caller frees. NULL when out of memory, and where `a` could not be parsed again.
char *announcement_text(const struct announcement *a);
