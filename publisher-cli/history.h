// `sse-publish history CHANNEL`: prints what Redis keeps of a channel's durable events.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

enum exit_status history_command(const struct settings *settings, int argc, char **argv);
