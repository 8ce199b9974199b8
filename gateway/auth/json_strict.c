#include "gateway/auth/json_strict.h"

#include <stdlib.h>

static _Thread_local bool ran_out; // of memory, since the parser began

static void *on_allocate(size_t size)
{
    void *block = malloc(size);
    ran_out = ran_out || !block;
    return block;
}

void json_strict_setup(void)
{
    json_set_alloc_funcs(on_allocate, free);
}

// Counts brackets outside of strings before anything is allocated: the parser recurses once for each of them.
static bool is_shallow(const char *text, size_t len, unsigned depth_max)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            i += c == '\\'; // whatever is escaped does not end the string
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

json_t *json_strict_object(const char *text, size_t len, unsigned depth_max)
{
    json_error_t ignored;
    ran_out = false;
    if (!is_shallow(text, len, depth_max))
        return NULL;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &ignored);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

bool json_strict_ran_out(void)
{
    bool did = ran_out;
    ran_out = false;
    return did;
}

const char *json_strict_text(const json_t *value)
{
    return json_string_value(value);
}
