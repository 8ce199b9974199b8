// JSON of others, read strictly (RFC 8259; RFC 8725 section 2.6 says what lenient readers cost): one object and nothing
// else, UTF-8, no name twice, no NUL, bounded nesting. The caller bounds the length. Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// NULL with errno EINVAL where the text is not as above, ENOMEM when out of memory. The caller releases the object.
json_t *json_strict_object(const char *text, size_t len, unsigned depth_max);
// The text of a string value, NULL for any other value; `value` may be NULL.
const char *json_strict_text(const json_t *value);
