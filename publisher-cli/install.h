// The function library `sse` in a Redis server: which version is there, and loading ours
// (common/function_library.h).
#pragma once

#include "publisher-cli/connection.h"

enum install_result {
    INSTALL_LOADED,   // there was none
    INSTALL_REPLACED, // there was an older one
    INSTALL_KEPT,     // there is this version, or a newer one
    INSTALL_FAILED,
};

// Loads the library where it is missing or older. `version` is the one found before; -1 for none.
// INSTALL_FAILED where Redis refuses or is gone. No other command may be on the way.
enum install_result install_library(struct connection *connection, long long *version,
                                    struct failure *failure);
