// Fields of a checked request head by any name, for those that an option names or that few requests have. Pure.
#pragma once

#include "gateway/client/http_text.h"

// The next field called `name` (without regard to case) in `fields`, as http_request has them; start with *cursor =
// 0. False where there is no other. `value` is trimmed, never absent, and borrowed from `fields`.
bool http_lookup(struct http_text fields, size_t *cursor, const char *name, struct http_text *value);
