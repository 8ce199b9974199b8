// The output of `sse-publish history`: for a person, or one JSON object.
#pragma once

#include "publisher-cli/history_entry.h"

// A history as a whole. An offset of 0 is an entry that is not there.
struct history_state {
    uint64_t length; // entries
    int64_t bytes;   // of Redis' memory; -1: the ACL does not let it be asked
    int64_t ttl_ms;  // -1: for ever
    struct history_id oldest, newest;
    uint64_t oldest_ms, newest_ms; // Unix time
    bool has_ended;                // the newest is the last one
};

struct history_printer {
    bool json;
    uint64_t printed; // entries
};

void history_print_begin(const struct history_printer *printer, const char *channel,
                         const struct history_state *state);
void history_print_entry(struct history_printer *printer, const struct history_entry *entry);
void history_print_end(const struct history_printer *printer);
