// Whatever bytes arrive, and in whatever pieces: the same answer, nothing read or pointed at outside of the
// head, and no request let through that a second look, written without the parser's code, finds ambiguous.
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/client/http_request.h"
#include "gateway/client/stream_request.h"
#include "tests/fuzz/fuzz.h"

struct verdict {
    char *bytes; // a copy of what was fed, as the parser left it; `req` borrows from it
    enum http_parse result;
    int status;
    size_t head_len;
    struct http_request req;
};

static void check_status(int status)
{
    static const int allowed[] = {400, 413, 414, 417, 431, 501, 505};
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (allowed[i] == status)
            return;
    CHECK(!"a status that the header names");
}

// Feeds `step` bytes more at a time, as a connection does, in memory of exactly the size, so that reads past
// the end are seen.
static struct verdict feed(const char *bytes, size_t len, size_t step)
{
    struct verdict v = {.bytes = must_alloc(0), .result = HTTP_PARSE_MORE};
    struct http_scan scan = {0};
    size_t have = 0;
    for (size_t fed = 0; v.result == HTTP_PARSE_MORE && fed < len;) {
        size_t n = len - fed < step ? len - fed : step;
        char *more = must_alloc(have + n);
        memcpy(more, v.bytes, have);
        memcpy(more + have, bytes + fed, n);
        free(v.bytes);
        v.bytes = more;
        fed += n;
        have += n;
        v.result = http_request_parse(v.bytes, &have, &scan, &v.req, &v.head_len, &v.status);
        CHECK(scan.scanned <= have && have + scan.id_skipped == fed);
        CHECK(v.result != HTTP_PARSE_MORE || have < HTTP_HEAD_MAX + HTTP_ID_MAX);
    }
    return v;
}

static void check_inside(struct http_text t, const char *head, size_t len)
{
    if (t.at == NULL || t.len == 0)
        return;
    if (t.len == 1 && t.at[0] == '/' && (t.at < head || t.at >= head + len))
        return; // the path of "http://host"
    CHECK(t.at >= head && t.len <= len && t.at - head <= (ptrdiff_t)(len - t.len));
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        CHECK(c != '\r' && c != '\n' && c != 0x7f && (c >= 0x20 || c == '\t'));
    }
}

// Lines of the head that begin with `name` in any case, followed by a colon or by what some parsers skip
// before one.
static int count_fields(const char *head, size_t len, const char *name)
{
    int count = 0;
    size_t name_len = strlen(name);
    for (size_t i = 0; i + name_len + 1 < len; i++) {
        bool at_line = i > 0 && (head[i - 1] == '\n' || head[i - 1] == '\r' || head[i - 1] == '\0');
        if (at_line && strncasecmp(head + i, name, name_len) == 0 &&
            strchr(": \t\r\n", head[i + name_len]) != NULL)
            count++;
    }
    return count;
}

static void check_unambiguous(const struct http_request *req, const char *head, size_t len)
{
    CHECK(len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0);
    size_t start = 0;
    while (head[start] == '\r' || head[start] == '\n')
        start++;
    CHECK(start <= 4);
    for (size_t i = start; i + 4 < len; i++) {
        CHECK(memcmp(head + i, "\r\n\r\n", 4) != 0);
        CHECK(head[i] != '\0');
        CHECK(head[i] != '\r' || head[i + 1] == '\n');
        CHECK(head[i] != '\n' || (i > 0 && head[i - 1] == '\r' && head[i + 1] != ' ' && head[i + 1] != '\t'));
    }
    int hosts = count_fields(head, len, "host"), lengths = count_fields(head, len, "content-length");
    CHECK(hosts == 1 || (hosts == 0 && req->http_1_0));
    CHECK(count_fields(head, len, "transfer-encoding") == 0);
    CHECK(count_fields(head, len, "expect") == 0 ||
          (req->expects_continue && req->method == HTTP_POST && !req->http_1_0));
    CHECK(req->content_length >= -1 && (req->content_length < 0) == (lengths == 0));
    CHECK(count_fields(head, len, "content-type") <= 1 && !req->chunked && req->body.at == NULL);
    CHECK(lengths <= 1);
    CHECK(req->target.len <= HTTP_TARGET_MAX && len <= HTTP_HEAD_MAX + HTTP_ID_MAX);
    CHECK(count_fields(head, len, "last-event-id") <= 1 && req->last_event_id.len <= HTTP_ID_MAX);
    CHECK(req->path.len > 0 && (req->path.at[0] == '/' || req->path.at[0] == '*'));
    CHECK(!req->keep_alive || count_fields(head, len, "connection") > 0 || !req->http_1_0);
    for (size_t i = 0; i < req->target.len; i++)
        CHECK(isgraph((unsigned char)req->target.at[i]) && req->target.at[i] != '#');
}

static void check_request(const struct verdict *v, size_t len)
{
    const struct http_request *req = &v->req;
    const char *bytes = v->bytes;
    CHECK(v->head_len > 0 && v->head_len <= len);
    const struct http_text texts[] = {req->target, req->path,          req->query,         req->host,
                                      req->accept, req->origin,        req->last_event_id, req->authorization,
                                      req->cookie, req->request_method};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_inside(texts[i], bytes, v->head_len);
    CHECK(req->fields.at > bytes && req->fields.at + req->fields.len == bytes + v->head_len);
    check_unambiguous(req, bytes, v->head_len);

    struct stream_request stream;
    char detail[64];
    CHECK(stream_request_init(&stream, 8));
    int status = stream_request_parse(&stream, req, detail, sizeof(detail));
    CHECK(status == 0 || status == 400);
    CHECK(status == 0 ? stream.channel_count > 0 && stream.channel_count <= 8 : strlen(detail) > 0);
    stream_request_deinit(&stream);
}

static void check_bytes(const char *bytes, size_t len, size_t step)
{
    struct verdict once = feed(bytes, len, len), pieces = feed(bytes, len, step);
    CHECK(once.result == pieces.result);
    if (once.result == HTTP_PARSE_ERROR) {
        CHECK(once.status == pieces.status);
        const struct http_text origin = once.req.origin;
        CHECK(origin.at == NULL || (origin.at >= once.bytes && origin.at + origin.len <= once.bytes + len));
        CHECK((origin.at == NULL) == (pieces.req.origin.at == NULL) && origin.len == pieces.req.origin.len);
        check_status(once.status);
    } else if (once.result == HTTP_PARSE_DONE) {
        CHECK(once.head_len == pieces.head_len);
        CHECK(memcmp(once.bytes, pieces.bytes, once.head_len) == 0);
        check_request(&once, len);
        // What follows the head changes nothing, and a second look at what the first one left neither.
        struct verdict alone = feed(once.bytes, once.head_len, once.head_len);
        CHECK(alone.result == HTTP_PARSE_DONE && alone.head_len == once.head_len);
        CHECK(alone.req.keep_alive == once.req.keep_alive && alone.req.method == once.req.method);
        CHECK(memcmp(alone.bytes, once.bytes, once.head_len) == 0);
        free(alone.bytes);
    }
    free(once.bytes);
    free(pieces.bytes);
}

// Words that a fuzzer would have to guess letter by letter.
static const char *const words[] = {
    "\r\n",
    "Host: h",
    "Content-Length: ",
    "Transfer-Encoding: ",
    "chunked",
    "Connection: ",
    "close",
    "keep-alive",
    "Expect: ",
    "100-continue",
    "Upgrade: h2c",
    "Accept: ",
    "GET / ",
    "POST / ",
    "OPTIONS ",
    "CONNECT h:1 ",
    "HTTP/1.1",
    "HTTP/1.0",
    "http://h",
    "/stream?",
    "channel=",
    "&",
    "Origin: ",
    "Cookie: ",
    "%00",
    "Authorization: ",
    "Last-Event-ID: ",
    "text/event-stream",
    ";q=0",
    "\r\n\r\n",
    "X: ",
    "HTTP/2.0",
};
#define WORDS (sizeof(words) / sizeof(words[0]))
#define WORD_MAX 24

// Copies `input`; with `expand`, bytes 0x80 to 0x9f become words. `out` has room for len * WORD_MAX. Returns
// the end.
static char *put_input(char *out, const uint8_t *input, size_t len, bool expand)
{
    for (size_t i = 0; i < len; i++) {
        const char *word =
            expand && input[i] >= 0x80 && input[i] < 0x80 + WORDS ? words[input[i] - 0x80] : NULL;
        size_t n = word != NULL ? strlen(word) : 1;
        memcpy(out, word != NULL ? word : (const char *)input + i, n);
        out += n;
    }
    return out;
}

#define TIMES_2(s) s s
#define TIMES_16(s) TIMES_2(TIMES_2(TIMES_2(TIMES_2(s))))
#define TIMES_127(s)                                                                                         \
    TIMES_16(TIMES_2(TIMES_2(s)))                                                                            \
    TIMES_16(TIMES_2(s)) TIMES_16(s) TIMES_2(TIMES_2(TIMES_2(s))) TIMES_2(TIMES_2(s)) TIMES_2(s) s

// Input: a frame to put the rest into (so that all of it need not be guessed) and whether it holds words, the
// size of pieces, the rest.
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const struct {
        const char *front, *back;
    } frames[] = {
        {"", ""},
        {"GET ", " HTTP/1.1\r\nHost: h\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n"},
        {"POST / HTTP/1.0\r\n", "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: ", "\r\n\r\n"},
        {"OPTIONS /stream?channel=", " HTTP/1.1\r\nHost: h\r\n\r\nGET "},
        {"GET / HTTP/1.1\r\nHost: h\r\nAccept: ", "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: ", "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\nLast-Event-ID: ", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        // nearly as much as is kept of it
        {"GET / HTTP/1.1\r\nHost: h\r\nLast-Event-ID: " TIMES_127(TIMES_16("x")), "\r\n\r\n"},
    };
#define FRAMES (sizeof(frames) / sizeof(frames[0]))
    if (len < 2)
        return 0;
    const char *front = frames[input[0] % FRAMES].front, *back = frames[input[0] % FRAMES].back;
    char *scratch = must_alloc(strlen(front) + len * WORD_MAX + strlen(back)), *end = scratch;
    end = put_input(end, (const uint8_t *)front, strlen(front), false);
    end = put_input(end, input + 2, len - 2, input[0] >= 0x80);
    end = put_input(end, (const uint8_t *)back, strlen(back), false);
    size_t total = (size_t)(end - scratch);
    char *bytes = must_alloc(total); // of exactly that size, so that reads past the end are seen
    memcpy(bytes, scratch, total);
    check_bytes(bytes, total, (size_t)input[1] + 1);
    free(bytes);
    free(scratch);
    return 0;
}
