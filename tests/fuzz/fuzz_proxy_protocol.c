// Whatever comes before a connection: a header is read without a fault, the same for each split, and never longer than
// what is there. The first byte says which versions are allowed.
#include <string.h>

#include "gateway/client/proxy_protocol.h"
#include "tests/fuzz/fuzz.h"

struct parsed {
    enum proxy_parse result;
    struct peer_address from;
    size_t len;
};

static struct parsed parse(const uint8_t *bytes, size_t len, enum proxy_version allowed)
{
    struct parsed p = {0};
    char *copy = must_alloc(len);
    memcpy(copy, bytes, len);
    p.result = proxy_header_parse(copy, len, allowed, &p.from, &p.len);
    free(copy);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum proxy_version allowed = (enum proxy_version)(1 + *data % PROXY_ANY);
    data++;
    size--;
    if (size > PROXY_HEADER_MAX)
        size = PROXY_HEADER_MAX;
    struct parsed whole = parse(data, size, allowed);
    CHECK(whole.result != PROXY_MORE || size < PROXY_HEADER_MAX);
    if (whole.result == PROXY_DONE)
        CHECK(whole.len > 0 && whole.len <= size && whole.from.family != ADDRESS_UNIX);
    size_t end = whole.result == PROXY_DONE ? whole.len : size;
    for (size_t len = 1; len < end; len++) {
        struct parsed part = parse(data, len, allowed);
        CHECK(part.result != PROXY_DONE && (part.result == PROXY_MORE || whole.result == PROXY_BAD));
    }
    if (whole.result == PROXY_DONE) {
        struct parsed alone = parse(data, whole.len, allowed);
        CHECK(alone.result == PROXY_DONE && alone.len == whole.len &&
              peer_address_same(&alone.from, &whole.from));
    }
    return 0;
}
