// Whatever a client sends before what a trusted proxy appends: the address is one that the proxy wrote or saw, never
// one of the client's choice; and ranges and addresses are read without a fault.
#include <string.h>

#include "gateway/client/forwarded.h"
#include "tests/fuzz/fuzz.h"

#define LINE_MAX 4096

static struct peer_address address(const char *text)
{
    struct peer_address a;
    CHECK(peer_address_parse(&a, text, strlen(text)));
    return a;
}

// A field that the client began and the proxy, which sees 9.9.9.9, has appended to; or in a line of its own.
static void check_field(const char *name, const char *sent, size_t len, const char *appended, bool own_line)
{
    struct peer_range range;
    char *fields = must_alloc(2 * LINE_MAX + 256);
    int n = sprintf(fields, "%s: %.*s%s%s%s%s\r\n\r\n", name, (int)len, sent, own_line ? "\r\n" : ", ",
                    own_line ? name : "", own_line ? ": " : "", appended);
    CHECK(peer_range_parse(&range, "10.0.0.0/8"));
    const struct peer_ranges trusted = {.items = &range, .count = 1};
    const struct peer_address socket = address("10.0.0.9"), client = address("9.9.9.9"),
                              near = address("10.0.0.1");
    struct peer_address found = forwarded_client(&trusted, &socket, (struct http_text){fields, (size_t)n});
    CHECK(peer_address_same(&found, &client) || peer_address_same(&found, &near) ||
          peer_address_same(&found, &socket));
    free(fields);
}

static void check_range(const char *text)
{
    struct peer_range range;
    if (!peer_range_parse(&range, text))
        return;
    const struct peer_ranges one = {.items = &range, .count = 1};
    CHECK(range.bits <= (range.base.family == ADDRESS_V4 ? 32 : 128));
    CHECK(peer_ranges_have(&one, &range.base)); // the first address of a range is in it
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LINE_MAX + 1];
    size_t len = size < LINE_MAX ? size : LINE_MAX;
    for (size_t i = 0; i < len; i++) // what a checked head may have in a value
        line[i] = (char)(data[i] == '\t' || data[i] >= 0x20 ? data[i] : ' ');
    line[len] = '\0';
    for (int own_line = 0; own_line < 2; own_line++) {
        check_field("X-Forwarded-For", line, len, "9.9.9.9", own_line);
        check_field("X-Forwarded-For", line, len, "9.9.9.9, 10.0.0.1", own_line);
        check_field("Forwarded", line, len, "for=9.9.9.9", own_line);
        check_field("Forwarded", line, len, "for=\"9.9.9.9:80\";proto=https, for=10.0.0.1", own_line);
    }
    check_range(line);
    return 0;
}
