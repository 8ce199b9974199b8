// The keys of tokens, as the process sees them. Main thread.
#pragma once

#include "gateway/auth/authenticator.h"

// Reads them again, and says how that went: where it fails, all stay as they were.
void keys_reload(struct authenticator *authenticator);
