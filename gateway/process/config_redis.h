// The options that say which Redis, and how it is reached.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/process/config.h"

// The check of --redis. On failure false, and one line in `error`.
bool config_redis_check(const char *text, char *error, size_t error_size);
// Fills config->redis_url from the options, and reads the files that they name, so that a wrong one is known
// at the start. On failure false, and one line in `error`.
bool config_redis_derive(struct config *config, char *error, size_t error_size);
void config_redis_free(struct config *config);
