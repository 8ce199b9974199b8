// `sse-publish subscribe CHANNEL..`: prints the events of a stream, and goes on where it ended, as an EventSource does.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

enum exit_status subscribe_command(const struct settings *settings, int argc, char **argv);
