// JSON of others, read strictly (RFC 8259; RFC 8725 section 2.4 is about what lenient readers do): one object and nothing
// else, UTF-8, no name twice, no NUL, bounded nesting. The caller bounds the length. Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// NULL where the text is not as above, or out of memory. The caller releases the object.
json_t *json_strict_object(const char *text, size_t len, unsigned depth_max);
// Whether it was for want of memory that this thread's last json_strict_object returned NULL; true once.
bool json_strict_ran_out(void);
// Has jansson allocate by functions that notice when memory runs out, which it does not always say. Before other threads
// start.
void json_strict_setup(void);
// The text of a string value, NULL for any other value; `value` may be NULL.
const char *json_strict_text(const json_t *value);
