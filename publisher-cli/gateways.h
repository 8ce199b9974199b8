// Listens to what gateways announce of themselves (common/announcement.h), for as long as each of them needs to be
// heard.
#pragma once

#include "common/announcement.h"
#include "publisher-cli/connection.h"

#include <stdbool.h>
#include <stddef.h>

#define GATEWAYS_MAX 2048

struct gateways {
    struct announcement *items; // by id
    size_t count;
};

// False where Redis cannot be reached, or refuses. The caller frees `out` with gateways_free, in any case.
bool gateways_listen(const struct redis_target *target, struct gateways *out, struct failure *failure);
void gateways_free(struct gateways *gateways);
