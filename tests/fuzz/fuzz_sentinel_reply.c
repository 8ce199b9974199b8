// Whatever a sentinel answers: read without a fault, and what passes for an address can be one.
#include <string.h>

#include "gateway/redis/redis_reader.h"
#include "gateway/redis/sentinel_reply.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct sentinel_master *master)
{
    CHECK(master->address.host[0] != '\0' && master->address.port != 0);
    CHECK(strnlen(master->address.host, REDIS_HOST_SIZE) < REDIS_HOST_SIZE);
}

static void try_reply(const redisReply *reply)
{
    struct sentinel_master master;
    if (sentinel_read_address(reply, &master) == SENTINEL_FOUND)
        check(&master);
    struct sentinel_master known = {.address = {.host = "h", .port = 1}};
    CHECK(sentinel_read_details(reply, &known) <= SENTINEL_REFUSES);
    if (sentinel_read_switch(reply, "main", &master))
        check(&master);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct redis_limits limits = {.bulk = 65536, .elements = 1024, .bytes = 65536};
    struct redis_reader reader = {0};
    void *reply;
    size_t skipped;
    enum redis_read got = REDIS_READ_REPLY;
    if (!redis_reader_reset(&reader, NULL, NULL, &limits) ||
        !redis_reader_feed(&reader, (const char *)data, size < 16384 ? size : 16384))
        got = REDIS_READ_ERROR;
    while (got == REDIS_READ_REPLY || got == REDIS_READ_SKIPPED) {
        got = redis_reader_next(&reader, &reply, &skipped);
        if (got != REDIS_READ_REPLY)
            continue;
        try_reply(reply);
        freeReplyObject(reply);
    }
    redis_reader_deinit(&reader);
    return 0;
}
