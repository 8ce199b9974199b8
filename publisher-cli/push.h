// Listening to a channel over a connection of its own.
#pragma once

#include "publisher-cli/connection.h"

// Subscribes to `channel` as gateways do: in a cluster at the node that has it. `remedy`: what to allow where the ACL
// forbids it. NULL on failure.
struct connection *push_subscribe(const struct redis_target *target, const char *channel, const char *remedy,
                                  struct failure *failure);
// The text of a message in a push (its kind, the channel, and the text), or NULL. Borrowed from it.
const struct redisReply *push_text(const struct redisReply *push);
