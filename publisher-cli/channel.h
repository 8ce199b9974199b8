// The names of channels that users may publish to.
#pragma once

#include "publisher-cli/failure.h"

bool channel_check(const char *channel, struct failure *failure);
