#include "common/trace.h"

#include <string.h>

// HEXDIGLC of the standard.
static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '0')
            return false;
    return true;
}

// Where the parts of "00-<trace id>-<parent id>-<flags>" begin.
enum { VERSION_AT = 0, ID_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, PARENT_LEN = 16 };

bool trace_parent_parse(const char *text, size_t len, char id[TRACE_ID_LEN + 1], bool *sampled)
{
    if (len < TRACEPARENT_LEN || !is_hex(text, 2) || memcmp(text, "ff", 2) == 0)
        return false;
    bool is_known = memcmp(text, "00", 2) == 0;
    if (len > TRACEPARENT_LEN && (is_known || text[TRACEPARENT_LEN] != '-'))
        return false;
    if (text[ID_AT - 1] != '-' || text[PARENT_AT - 1] != '-' || text[FLAGS_AT - 1] != '-' ||
        !is_hex(text + ID_AT, TRACE_ID_LEN) || !is_hex(text + PARENT_AT, PARENT_LEN) ||
        !is_hex(text + FLAGS_AT, 2) || is_zero(text + ID_AT, TRACE_ID_LEN) ||
        is_zero(text + PARENT_AT, PARENT_LEN))
        return false;
    char low = text[FLAGS_AT + 1];
    *sampled = ((low <= '9' ? low - '0' : low - 'a' + 10) & 1) != 0;
    memcpy(id, text + ID_AT, TRACE_ID_LEN);
    id[TRACE_ID_LEN] = '\0';
    return true;
}

bool trace_channel_valid(const char *text, size_t len)
{
    size_t prefix = strlen(TRACE_CHANNEL_PREFIX);
    return len == TRACE_CHANNEL_LEN && memcmp(text, TRACE_CHANNEL_PREFIX, prefix) == 0 &&
           is_hex(text + prefix, len - prefix);
}
