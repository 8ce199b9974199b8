// The position of channels: the cursor with which a page opens its stream after it has read its data
// (docs/subscribing.md, "Data and stream").
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

// --position CHANNEL..
enum exit_status position_command(const struct settings *settings, int argc, char **argv);
