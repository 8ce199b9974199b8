// `sse-publish doctor URL`: what stands between here and a gateway, and what of it harms event streams.
#pragma once

#include "publisher-cli/exit_status.h"
#include "publisher-cli/settings.h"

enum exit_status doctor_command(const struct settings *settings, int argc, char **argv);
