#include "gateway/fanout/event_id.h"

size_t event_id_parse_number(const char *text, size_t len, uint64_t *out)
{
    size_t n = 0;
    uint64_t value = 0;
    for (; n < len && text[n] >= '0' && text[n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(text[n] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return 0;
        value = value * 10 + digit;
    }
    *out = value;
    return n;
}

size_t event_id_parse(const char *text, size_t len, struct event_id *out)
{
    size_t ms = event_id_parse_number(text, len, &out->ms);
    if (ms == 0 || ms == len || text[ms] != '-')
        return 0;
    size_t offset = event_id_parse_number(text + ms + 1, len - ms - 1, &out->offset);
    return offset ? ms + 1 + offset : 0;
}
