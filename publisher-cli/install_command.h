// `sse-publish --install`: the function library, loaded into each master.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

enum exit_status install_command(const struct settings *settings);
