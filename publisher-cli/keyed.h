// A command with a key, sent to the server that has the key: in a cluster by way of MOVED and ASK.
#pragma once

#include "publisher-cli/connection.h"

// The answer to `words` (they end with NULL), a command that may be done twice: where the connection is lost or a slot
// is not to be had, it is sent again for as long as one answer may take. `connection` is the one to begin with, or
// holds NULL; it is left open for the next command, and replaced where another node has the key. The caller frees the
// answer with freeReplyObject, and closes the connection. NULL on failure.
struct redisReply *keyed_ask(const struct redis_target *target, struct connection **connection,
                             const char *const *words, struct failure *failure);
