// A secret that an option names by its file, so that it is neither in the list of processes nor in the
// environment.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The longest secret, without an end mark.
#define SECRET_MAX 512

// Replaces `*secret` (owned by the caller, may be NULL) by the first line of `file`. False, with one line in
// `error` that names `option` (without its dashes), where there is none.
bool secret_file_read(const char *option, const char *file, char **secret, char *error, size_t error_size);
