// Revokes a user or a token (docs/publishing.md, "Revoking"): sets the key that refuses new streams, then tells all
// gateways, which end the open ones.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

// --revoke-subject and --revoke-token, of which one is given.
enum exit_status revoke_command(const struct settings *settings);
