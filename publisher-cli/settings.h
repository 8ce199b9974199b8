// The options of sse-publish.
#pragma once

#include "common/options.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    char *redis, *redis_ca, *redis_cert, *redis_key, *event, *id;
    uint64_t retry, timeout, keep, keep_for; // numbers may be OPTION_UNSET
    bool durable, install, lines, json, help, version;
};

extern const struct option_table settings_table;
