// Queries are read as WHATWG URL section 5.1 says, by a second reader that shares no code with the first; and
// whatever one holds, a stream asks only for distinct channels with legal names.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client/http_target.h"
#include "gateway/client/stream_request.h"
#include "tests/fuzz/fuzz.h"

// Decodes to `out`; returns the length, -1 where http_query_next must refuse.
static long decode(const char *at, size_t len, char *out)
{
    long n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned value = (unsigned char)at[i];
        if (at[i] == '+')
            value = ' ';
        if (at[i] == '%') {
            char digits[3] = "";
            if (len - i < 3)
                return -1;
            memcpy(digits, at + i + 1, 2);
            if (strlen(digits) != 2 || strspn(digits, "0123456789abcdefABCDEF") != 2)
                return -1;
            value = (unsigned)strtoul(digits, NULL, 16);
            i += 2;
        }
        if (value == 0)
            return -1;
        out[n++] = (char)value;
    }
    return n;
}

// The first pair that is not empty, from `*at` on, which moves behind it. False where there is none.
static bool next_pair(const char **at, const char *end, const char **pair, size_t *len)
{
    while (*at < end) {
        *pair = *at;
        while (*at < end && **at != '&')
            (*at)++;
        *len = (size_t)(*at - *pair);
        if (*at < end)
            (*at)++;
        if (*len > 0)
            return true;
    }
    return false;
}

static void check_pairs(const char *query, size_t len, size_t room)
{
    struct http_text rest = {query, len}, name, value;
    char *buf = must_alloc(room), *reference = must_alloc(2 * len);
    const char *at = query, *end = query + len, *pair;
    size_t pair_len;
    int got;
    do {
        got = http_query_next(&rest, buf, room, &name, &value);
        if (!next_pair(&at, end, &pair, &pair_len)) {
            CHECK(got == 0);
            break;
        }
        size_t equals = 0;
        while (equals < pair_len && pair[equals] != '=')
            equals++;
        size_t value_at = equals < pair_len ? equals + 1 : equals;
        long name_len = decode(pair, equals, reference);
        long value_len = decode(pair + value_at, pair_len - value_at, reference + len);
        bool good = name_len >= 0 && value_len >= 0 && (size_t)(name_len + value_len) <= room;
        CHECK(got == (good ? 1 : -1));
        if (good) {
            CHECK(name.len == (size_t)name_len && memcmp(name.at, reference, name.len) == 0);
            CHECK(value.len == (size_t)value_len && memcmp(value.at, reference + len, value.len) == 0);
        }
    } while (got == 1);
    free(reference);
    free(buf);
}

static bool name_legal(const char *name, size_t len)
{
    return len >= 1 && len <= 128 && strlen(name) == len && strncmp(name, "__", 2) != 0 &&
           strncmp(name, "sse:", 4) != 0 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@/-") == len;
}

// `type`: NULL: `text` is the query; else it is the body of that type.
static void check_stream(const char *type, const char *text, size_t len, const char *id, size_t id_len,
                         size_t max_channels)
{
    struct http_request req = {.last_event_id = {id, id_len}};
    if (type)
        req.content_type = (struct http_text){type, strlen(type)};
    *(type ? &req.body : &req.query) = (struct http_text){text, len};
    struct stream_request s;
    char detail[32] = "";
    CHECK(stream_request_init(&s, max_channels));
    int status = stream_request_parse(&s, &req, detail, sizeof(detail));
    CHECK(status == 0 || (status == 400 && detail[0] != '\0' && memchr(detail, 0, sizeof(detail)) != NULL));
    CHECK(s.channel_count <= max_channels && (status != 0 || s.channel_count > 0));
    for (size_t i = 0; i < s.channel_count; i++) {
        CHECK(name_legal(s.channels[i].name, s.channels[i].len));
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(s.channels[i].name, s.channels[j].name) != 0);
    }
    size_t kept = strnlen(s.last_event_id, sizeof(s.last_event_id));
    CHECK(kept < sizeof(s.last_event_id));
    for (const char *one = s.last_event_id;; one += strcspn(one, ",") + 1) {
        size_t one_len = strcspn(one, ",");
        CHECK((one_len == 1 && one[0] == '?') ||
              strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~") == one_len);
        if (one[one_len] == '\0')
            break;
    }
    stream_request_deinit(&s);
}

// Input: room for a pair, length of the Last-Event-ID header, most channels, the header, the query.
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len < 3 || (size_t)input[1] * 8 > len - 3 || len > HTTP_TARGET_MAX)
        return 0;
    size_t id_len = (size_t)input[1] * 8, query_len = len - 3 - id_len;
    char *id = must_alloc(id_len), *query = must_alloc(query_len);
    memcpy(id, input + 3, id_len);
    memcpy(query, input + 3 + id_len, query_len);
    check_pairs(query, query_len, input[0]);
    check_pairs(query, query_len, query_len);
    check_stream(NULL, query, query_len, id, id_len, input[2] % 16);
    check_stream("application/x-www-form-urlencoded", query, query_len, id, id_len, input[2] % 16);
    check_stream("application/json", query, query_len, id, id_len, input[2] % 16);
    free(query);
    free(id);
    return 0;
}
