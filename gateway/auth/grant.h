// Patterns of channels that a token gets by its claims: user:{sub} is user:42 for a token whose "sub" is "42". Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "common/pattern.h"

#define GRANT_SIZE (CHANNEL_NAME_MAX + 2) // a pattern with its '*' and end mark

// False with the reason in `error` where `template` is no pattern with names of claims in braces.
bool grant_check(const char *template, char *error, size_t error_size);
// Fills in the claims. False where the grant is not given: a claim is missing, is no text, is empty, has a byte that
// channels have not ('*' among them), or the whole is too long.
bool grant_fill(const char *template, const json_t *claims, char out[GRANT_SIZE]);
