// Whatever a server sends: no reply and no buffer grows beyond its bounds, and bytes that come in pieces give
// the same replies as those that come together.
#include <string.h>

#include "gateway/redis/redis_reader.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 16384u

static const struct redis_limits limits = {.bulk = 256, .elements = 64, .bytes = 1024};

struct sums {
    size_t replies, elements, bytes;
};

static void sum_up(const redisReply *reply, struct sums *sums, unsigned depth)
{
    CHECK(depth <= 4);
    if (reply->type == REDIS_REPLY_ARRAY) {
        sums->elements += reply->elements;
        for (size_t i = 0; i < reply->elements; i++)
            sum_up(reply->element[i], sums, depth + 1);
    } else if (reply->type != REDIS_REPLY_INTEGER && reply->type != REDIS_REPLY_NIL) {
        sums->bytes += reply->len;
    }
}

// True where all of it could be read and nothing was cut out: what is cut out depends on the pieces.
static bool read_all(const uint8_t *data, size_t size, size_t piece, struct sums *sums)
{
    struct redis_reader reader = {0};
    bool whole = true;
    CHECK(redis_reader_reset(&reader, NULL, NULL, &limits));
    for (size_t at = 0; whole && at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece, skipped = 0;
        void *reply;
        enum redis_read got;
        if (!redis_reader_feed(&reader, (const char *)data + at, len))
            break;
        while ((got = redis_reader_next(&reader, &reply, &skipped)) == REDIS_READ_REPLY) {
            struct sums one = {.replies = 1};
            sum_up(reply, &one, 0);
            CHECK(one.elements <= limits.elements && one.bytes <= limits.bytes);
            sums->replies++;
            sums->elements += one.elements;
            sums->bytes += one.bytes;
            freeReplyObject(reply);
        }
        CHECK(got != REDIS_READ_SKIPPED || skipped > limits.bulk);
        CHECK(got != REDIS_READ_ERROR || reader.error);
        whole = got == REDIS_READ_MORE;
        CHECK(!whole || reader.hiredis->len - reader.hiredis->pos <= 65536 + INPUT_MAX);
    }
    redis_reader_deinit(&reader);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sums together = {0}, apart = {0};
    if (size < 1 || size > INPUT_MAX)
        return 0;
    bool whole = read_all(data + 1, size - 1, INPUT_MAX, &together);
    if (read_all(data + 1, size - 1, 1 + data[0] % 64, &apart) && whole)
        CHECK(memcmp(&together, &apart, sizeof together) == 0);
    return 0;
}
