// From the options to the Redis that they name.
#pragma once

#include "publisher-cli/connection.h"
#include "publisher-cli/settings.h"

// `url` gets what `target` points to, borrows from the settings, and is for redis_url_deinit in any case. False where
// the options do not go together, or a file of a password cannot be read.
bool target_init(const struct settings *settings, struct redis_url *url, struct redis_target *target,
                 struct failure *failure);
