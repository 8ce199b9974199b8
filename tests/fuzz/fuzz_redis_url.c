// A URL is refused with a line that does not quote it, or parsed into parts that hold to the header's word.
#include "common/redis_url.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static void check_parts(const struct redis_url *url)
{
    bool network = url->kind != REDIS_URL_UNIX;

    CHECK(network ? url->endpoint_count >= 1 : url->endpoint_count == 0);
    CHECK(url->endpoint_count <= REDIS_URL_MAX_ENDPOINTS);
    CHECK((url->unix_path != NULL) == !network &&
          (url->master_name != NULL) == (url->kind == REDIS_URL_SENTINEL));
    CHECK(url->kind != REDIS_URL_CLUSTER || url->db == 0);
    for (size_t i = 0; i < url->endpoint_count; i++)
        CHECK(*url->endpoints[i].host && url->endpoints[i].port != 0);
}

// What describes a URL is a URL itself, of the same place. A decoded path or name may need its percent signs
// back, so not for those.
static void check_description(const struct redis_url *url)
{
    struct redis_url again;
    char text[32768], error[256];

    redis_url_describe(url, text, sizeof(text));
    if (url->unix_path || url->master_name)
        return;
    CHECK(redis_url_parse(text, &again, error, sizeof(error)));
    CHECK(again.kind == url->kind && again.tls == url->tls && again.db == url->db &&
          again.endpoint_count == url->endpoint_count);
    for (size_t i = 0; i < url->endpoint_count; i++) {
        CHECK(strcmp(again.endpoints[i].host, url->endpoints[i].host) == 0);
        CHECK(again.endpoints[i].port == url->endpoints[i].port);
    }
    redis_url_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const schemes[] = {"",
                                          "redis://",
                                          "rediss://",
                                          "redis+unix://",
                                          "redis+sentinel://",
                                          "redis+cluster://",
                                          "rediss+sentinel://"};
    char text[4096], error[256] = "";
    struct redis_url url;
    size_t scheme = size ? data[0] % 7 : 0;
    size_t prefix = strlen(schemes[scheme]);

    if (size < 1 || size - 1 > sizeof(text) - prefix - 1)
        return 0;
    memcpy(text, schemes[scheme], prefix);
    memcpy(text + prefix, data + 1, size - 1);
    text[prefix + size - 1] = '\0';
    if (redis_url_parse(text, &url, error, sizeof(error))) {
        check_parts(&url);
        check_description(&url);
    } else {
        CHECK(*error && !strchr(error, '\n'));
    }
    redis_url_deinit(&url);
    return 0;
}
