// --healthcheck: asks the gateway that the same options describe whether it is ready, as the health check of an image
// that has no HTTP client. Blocks for at most 3 s; before any thread is started.
#pragma once

#include "gateway/process/config.h"

enum healthcheck_status { HEALTHCHECK_READY = 0, HEALTHCHECK_NOT_READY = 1, HEALTHCHECK_USAGE = 2 };

// Asks the admin listener for /health/ready, or the first public listener where there is no admin listener. Where the
// answer is no, says why in one line on standard error. USAGE: no listener can be asked. Returns the exit status.
enum healthcheck_status healthcheck_run(const struct config *config);
