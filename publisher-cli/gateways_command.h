// `sse-publish gateways`: prints what gateways announce of themselves.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

enum exit_status gateways_command(const struct settings *settings, int argc, char **argv);
