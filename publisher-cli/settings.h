// The options of sse-publish.
#pragma once

#include "common/options.h"
#include "common/redis_options.h"
#include "publisher-cli/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    struct redis_options redis;
    char *event, *id, *revoke_subject, *revoke_token;
    uint64_t max_message, timeout;
    uint64_t retry, keep, keep_for; // may be OPTION_UNSET
    uint64_t revoke_for, until;     // likewise
    bool durable, install, lines, json, help, version;
};

extern const struct option_table settings_table;

// NULL, or which options and arguments (`argc` of them) do not go together.
const char *settings_problem(const struct settings *settings, int argc);

// The URL of --redis with what other options add to it; borrows from `settings`. `url` is for
// redis_url_deinit also where it fails.
bool settings_redis_url(const struct settings *settings, struct redis_url *url, struct failure *failure);
