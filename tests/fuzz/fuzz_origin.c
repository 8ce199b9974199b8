// Whatever --cors-origin holds: it is refused with a reason, or normalised to what stays the same. Whatever a request has as
// its Origin: what the answer says is "*" or that very origin, has no byte that could end a line, and is one that a second
// look, which shares no code with the first, allows.
#include <string.h>

#include "gateway/client/cors.h"
#include "gateway/process/origin.h"
#include "tests/fuzz/fuzz.h"

// Input: an option, a line end, the Origin of a request, a line end, its Host.
static char *take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
    size_t len = end != NULL ? (size_t)(end - *data) : *size, used = len + (end != NULL);
    char *line = must_alloc(len + 1);
    if (len > 0)
        memcpy(line, *data, len);
    line[len] = '\0';
    *data += used;
    *size -= used;
    return line;
}

static bool allows(const char *option, const char *origin)
{
    const char *star = strstr(option, "*.");
    if (star == NULL)
        return strcmp(option, origin) == 0;
    size_t before = (size_t)(star - option), len = strlen(origin), after = strlen(star + 1);
    if (len <= before + after || strncmp(option, origin, before) != 0 ||
        strcmp(origin + len - after, star + 1) != 0)
        return false;
    const char *labels = origin + before;
    size_t labels_len = len - before - after;
    return strspn(labels, "abcdefghijklmnopqrstuvwxyz0123456789-_.") >= labels_len && labels[0] != '.' &&
           labels[labels_len - 1] != '.' &&
           (strstr(labels, "..") == NULL || strstr(labels, "..") >= labels + labels_len);
}

static void check_option(const char *option, const char *origin, const char *host)
{
    char normal[ORIGIN_SIZE], again[ORIGIN_SIZE], error[256] = "";
    if (!origin_normalise(option, normal, error, sizeof error)) {
        CHECK(error[0] != '\0' && strlen(error) < sizeof error);
        return;
    }
    CHECK(origin_normalise(normal, again, error, sizeof error) && strcmp(normal, again) == 0);
    const char *const options[] = {normal};
    const struct http_policy policy = {.gateway_id = "gw", .cors_origins = options, .cors_origin_count = 1};
    struct http_request req = {
        .origin = {origin, strlen(origin)}, .host = {host, strlen(host)}, .cookie = {"a=b", 3}};
    struct http_text said = cors_allowed_origin(&policy, req.origin);
    bool any = strcmp(normal, "*") == 0;
    CHECK(cors_allows_any(&policy) == any);
    if (any) {
        CHECK(http_text_is(said, "*"));
    } else if (said.at != NULL) {
        CHECK(said.at == req.origin.at && said.len == req.origin.len && allows(normal, origin));
        CHECK(strpbrk(origin, "\r\n \t") == NULL && !cors_is_cross_site(&policy, &req));
    } else {
        CHECK(strlen(origin) > 300 || !allows(normal, origin));
    }
    if (cors_is_cross_site(&policy, &req)) {
        req.cookie = (struct http_text){NULL, 0};
        CHECK(!cors_is_cross_site(&policy, &req));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *option = take_line(&data, &size), *origin = take_line(&data, &size),
         *host = take_line(&data, &size);
    check_option(option, origin, host);
    check_option(origin, origin, host); // what an option may say, a browser may send
    free(option);
    free(origin);
    free(host);
    return 0;
}
