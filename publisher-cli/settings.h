// The options of sse-publish.
#pragma once

#include "common/options.h"
#include "common/redis_options.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    struct redis_options redis;
    char *event, *id, *revoke_subject, *revoke_token;
    uint64_t max_message, timeout;
    uint64_t retry, keep, keep_for; // may be OPTION_UNSET
    uint64_t revoke_for, until;     // likewise
    uint64_t trace_timeout;
    bool trace, durable, install, gateways, lines, json, help, version;
};

extern const struct option_table settings_table;

// NULL, or which options and arguments (`argc` of them) do not go together.
const char *settings_problem(const struct settings *settings, int argc);
