// What the options say about clients. Made once; immutable, and shared by all loops.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/http_response.h"

struct admission_step;

struct client_settings {
    const char *stream_path;
    struct http_policy policy;
    const char *const *anonymous; // patterns of channels that need no token
    size_t anonymous_count;
    size_t max_channels; // of one stream
    uint32_t heartbeat_ms, retry_ms;
    size_t queue_limit;  // bytes queued for one stream
    size_t replay_limit; // bytes, for each loop
    bool durable_named;  // --durable says which channels have a history, if only later
    bool drop_oldest;    // --slow-client
    bool refuse_with_status;
    uint32_t head_timeout_ms;
    const struct admission_step *admission; // NULL: admission_steps
};
