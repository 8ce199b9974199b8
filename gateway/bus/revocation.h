// Revocations, and leases that were replaced, as they are published at REVOCATION_CHANNEL (docs/protocol.md,
// "Revoking"). A revocation is added to those that new streams are held to, then told to all workers, so that a stream
// is refused by one or ended by the other. What was published while the channel was not subscribed is found by
// MAIL_RECHECK. The bus' thread
// alone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/revocation_names.h"
#include "gateway/bus/revocation_scan.h"

struct revocation {
    struct bus_env *env;
    struct revocation_scan scan;
    const char
        *lease_owner;     // borrowed: before the ':' in names of leases of this process; NULL: it takes none
    uint64_t recheck_due; // a bit for each worker that could not be told, for want of memory
};

extern const struct channel_handler revocation_handler; // its context is a struct revocation

// Tells workers what they missed, and loads what is revoked where that is not known. Called now and then.
void revocation_retry(struct revocation *r);
