// Revokes a user or a token (docs/publishing.md, "Revoking"): sets the key that refuses new streams, then tells all
// gateways, which end the open ones.
#pragma once

#include "publisher-cli/connection.h"
#include "publisher-cli/publish.h"

#include <stdbool.h>
#include <stdint.h>

#define REVOKE_NAME_MAX 296 // bytes of a subject or a token's id that gateways let in

struct revocation {
    const char *subject, *token; // one of the two is not NULL
    uint64_t for_s;
    bool is_sharded; // of the message: SPUBLISH
};

// NULL, or what is wrong with the name of the user or token.
const char *revoke_problem(const struct revocation *revocation);
// False on failure; `*key_is_set` says whether gateways will find the revocation nevertheless. `receivers` gets how many
// connections of gateways got the message.
bool revoke_send(const struct redis_target *target, const struct revocation *revocation, bool *key_is_set,
                 uint64_t *receivers, struct failure *failure);
