// Publishing: one event from DATA or standard input, or one for each line of that.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

// argv: CHANNEL and, where it is given, DATA; settings_check has counted them.
enum exit_status publish_command(const struct settings *settings, int argc, char **argv);
