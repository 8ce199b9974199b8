// The values of struct config that follow from several options, once each option alone has been checked.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/process/config.h"

// Checks the options beside each other, and fills what config.h calls derived. Reads the files that they
// name, so that a wrong one is known at the start. On failure false, with one line in `error` unless memory
// ran out. config_derive_free is for both cases.
bool config_derive(struct config *config, char *error, size_t error_size);
void config_derive_free(struct config *config);
