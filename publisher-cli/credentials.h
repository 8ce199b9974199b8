// What a command shows to the gateway: a token in a file, as HTTP's Authorization (RFC 6750, section 2.1).
#pragma once

#include "publisher-cli/failure.h"

#include <stdbool.h>

#define TOKEN_MAX 16384 // bytes; a gateway takes a head of 16 KiB in all

// "Bearer " and the first line of `file`, terminated. False where that cannot be read or is no token.
bool credentials_bearer(const char *file, char bearer[TOKEN_MAX + 16], struct failure *failure);
