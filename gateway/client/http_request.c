#include "gateway/client/http_request.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "gateway/client/http_accept.h"
#include "gateway/client/http_fields.h"
#include "gateway/client/http_target.h"

// The order of work: scan_head finds the end of the head, refuses bytes that no line may hold, and mends an
// odd Last-Event-ID; request_line reads the first line; http_fields (llhttp) splits the rest into fields,
// which on_field checks one by one; policy_status checks what all fields together say.

#define METHOD_MAX 24 // longer than any registered method
#define LEADING_LINES_MAX 2
#define FOREIGN_ID_BYTE '?' // stands in no id that a gateway makes

struct head_reader {
    struct http_request *out;
    struct http_text authority; // of a target in absolute-form
    struct http_accept accept;
    struct http_text transfer_encoding;
    bool transfer_encoded_twice, expects_more; // expects_more: anything but 100-continue
    bool content_length, body, connection_close, connection_keep_alive;
};

// ---- the head as a whole

// Bytes of the empty lines before the request line (RFC 9112 section 2.2).
static size_t leading_lines(const char *head, size_t len)
{
    size_t n = 0;
    while (n < (LEADING_LINES_MAX + 1) * 2 && len - n >= 2 && head[n] == '\r' && head[n + 1] == '\n')
        n += 2;
    return n;
}

// Whether byte `i` may stand in a head; `in_id`: it belongs to the value of Last-Event-ID.
static bool byte_allowed(const char *head, size_t i, bool in_id)
{
    unsigned char c = (unsigned char)head[i];
    unsigned char before = i > 0 ? (unsigned char)head[i - 1] : 0;
    if (c == '\n' || before == '\r')
        return c == '\n' && before == '\r'; // neither without the other
    if (before == '\n' && (c == ' ' || c == '\t'))
        return false; // obs-fold, or a blank before the first field
    // 0x80 and above: obs-text is legal in values (RFC 9110 section 5.5) and met there (cookies, user
    // agents). What the gateway itself reads is checked by its own grammar.
    return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r' || (in_id && c != 0);
}

static bool is_id_end(char c)
{
    return c == '\r' || c == '\n' || c == '\0';
}

// Cuts the bytes of Last-Event-ID from `i` on out of the head: all up to the end of the line, or to the end
// of what is there. False where they are too many.
static bool cut_id(char *head, size_t *len, size_t i, struct http_scan *scan)
{
    assert(scan->id_len == HTTP_ID_MAX && i > scan->line);
    size_t end = i;
    while (end < *len && !is_id_end(head[end]))
        end++;
    memmove(head + i, head + end, *len - end);
    *len -= end - i;
    scan->id_skipped += end - i;
    head[i - 1] = FOREIGN_ID_BYTE;
    return scan->id_skipped <= HTTP_ID_SKIP_MAX;
}

static void keep_id_byte(char *byte, struct http_scan *scan)
{
    if (((unsigned char)*byte < 0x20 && *byte != '\t') || *byte == 0x7f)
        *byte = FOREIGN_ID_BYTE;
    scan->id_len++;
}

static bool ends_id_name(const char *head, size_t i, const struct http_scan *scan)
{
    return head[i] == ':' &&
           http_text_is((struct http_text){head + scan->line, i - scan->line}, "last-event-id");
}

// Where the bytes end that are looked at: at the limit of a head, or of what is there.
static size_t scan_end(size_t len, const struct http_scan *scan)
{
    return len < HTTP_HEAD_MAX + scan->id_len ? len : HTTP_HEAD_MAX + scan->id_len;
}

// The place from `i` on of the next byte that may begin or end something: within a line, but for the value of
// Last-Event-ID, most bytes do not.
static size_t skip_plain(const char *head, size_t i, size_t end, const struct http_scan *scan)
{
    if (scan->in_id || i == 0 || head[i - 1] <= ' ')
        return i;
    while (i < end && head[i] > ' ' && head[i] < 0x7f && head[i] != ':')
        i++;
    return i;
}

// Looks for the empty line that ends the head which begins at `start`.
static enum http_parse scan_head(char *head, size_t *len, size_t start, struct http_scan *scan,
                                 size_t *head_len)
{
    size_t i = scan->scanned;
    assert(scan->line <= i && i <= *len);
    for (; (i = skip_plain(head, i, scan_end(*len, scan), scan)) < scan_end(*len, scan); i++) {
        scan->scanned = i;
        if (!byte_allowed(head, i, scan->in_id))
            return HTTP_PARSE_ERROR;
        if (scan->in_id && !is_id_end(head[i])) {
            if (scan->id_len < HTTP_ID_MAX)
                keep_id_byte(head + i, scan);
            else if (cut_id(head, len, i, scan))
                i--; // another byte is there now
            else
                return HTTP_PARSE_ERROR;
        } else if (ends_id_name(head, i, scan)) {
            if (scan->id_seen)
                return HTTP_PARSE_ERROR; // each would make the head longer
            scan->id_seen = scan->in_id = true;
        } else if (head[i] == '\n') {
            if (i >= start + 2 && head[i - 2] == '\n') {
                scan->scanned = *head_len = i + 1;
                return HTTP_PARSE_DONE;
            }
            scan->line = i + 1;
            scan->in_id = false;
        }
    }
    scan->scanned = i;
    return HTTP_PARSE_MORE;
}

// Refuses what cannot become a request line as soon as its first bytes are there: 400, 501, or 0 where it
// may.
static int method_status(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] == ' ' && i > 0)
            return 0;
        if (line[i] == '\r' && i == 0)
            return 0; // half of an empty line
        if (!http_is_token(line[i]))
            return 400;
        if (i == METHOD_MAX)
            return 501; // RFC 9112 section 3
    }
    return 0;
}

// ---- the request line

static enum http_method method_of(struct http_text name) // case-sensitive (RFC 9110 section 9.1)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"OPTIONS", HTTP_OPTIONS}, {"POST", HTTP_POST}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strlen(methods[i].name) == name.len && memcmp(methods[i].name, name.at, name.len) == 0)
            return methods[i].method;
    return HTTP_OTHER;
}

static int version_status(struct http_text version, bool *http_1_0)
{
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || !http_is_digit(version.at[5]) ||
        version.at[6] != '.' || !http_is_digit(version.at[7]))
        return 400;
    if (version.at[5] != '1' || version.at[7] > '1')
        return 505;
    *http_1_0 = version.at[7] == '0';
    return 0;
}

static bool read_target(struct head_reader *r)
{
    struct http_target parts;
    if (!http_target_split(r->out->target, &parts))
        return false;
    r->out->path = parts.path;
    r->out->query = parts.query;
    r->authority = parts.authority;
    return parts.path.at[0] == '/' || r->out->method == HTTP_OPTIONS; // "*" (RFC 9112 section 3.2.4)
}

// Reads the line of `len` bytes (without CRLF); method_status has passed it.
static int request_line(struct head_reader *r, const char *line, size_t len)
{
    const char *end = line + len;
    const char *target = memchr(line, ' ', len);
    const char *version = target != NULL ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    if (version == NULL)
        return 400;
    struct http_text method = {line, (size_t)(target - line)};
    r->out->method = method_of(method);
    r->out->target = (struct http_text){target + 1, (size_t)(version - target - 1)};
    int status =
        version_status((struct http_text){version + 1, (size_t)(end - version - 1)}, &r->out->http_1_0);
    if (status != 0)
        return status;
    if (http_text_is(method, "CONNECT"))
        return 501; // no proxy; its target has a form of its own
    if (r->out->target.len > HTTP_TARGET_MAX)
        return 414;
    return read_target(r) ? 0 : 400;
}

// ---- the fields

static bool on_accept(struct head_reader *r, struct http_text value)
{
    if (r->out->accept.at == NULL)
        r->out->accept = value;
    http_accept_scan(&r->accept, value);
    return true;
}

static bool on_connection(struct head_reader *r, struct http_text value)
{
    while (value.len > 0) {
        const char *comma = memchr(value.at, ',', value.len);
        size_t len = comma != NULL ? (size_t)(comma - value.at) : value.len;
        struct http_text token = http_text_trim((struct http_text){value.at, len});
        r->connection_close |= http_text_is(token, "close");
        r->connection_keep_alive |= http_text_is(token, "keep-alive");
        if (comma == NULL)
            break;
        value = (struct http_text){comma + 1, value.len - len - 1};
    }
    return true;
}

static bool on_content_length(struct head_reader *r, struct http_text value)
{
    if (r->content_length || value.len == 0)
        return false;
    r->content_length = true;
    int64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        // Some servers count in 63 bits, others in 64: they would disagree on where the body ends.
        if (!http_is_digit(value.at[i]) || __builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, value.at[i] - '0', &length))
            return false;
    }
    r->body = length > 0;
    r->out->content_length = length;
    return true;
}

static bool on_expect(struct head_reader *r, struct http_text value)
{
    bool is_continue = http_text_is(value, "100-continue");
    r->out->expects_continue |= is_continue;
    r->expects_more |= !is_continue;
    return true;
}

static bool on_transfer_encoding(struct head_reader *r, struct http_text value)
{
    r->transfer_encoded_twice = r->transfer_encoding.at != NULL;
    r->transfer_encoding = value;
    return true;
}

// Reads one whole field. False where it is not allowed.
static bool on_field(void *ctx, struct http_text name, struct http_text value)
{
    struct head_reader *r = ctx;
    struct http_request *out = r->out;
    static const struct {
        const char *name;
        bool (*read)(struct head_reader *r, struct http_text value);
    } readers[] = {
        {"accept", on_accept},
        {"connection", on_connection},
        {"content-length", on_content_length},
        {"expect", on_expect},
        {"transfer-encoding", on_transfer_encoding},
    };
    const struct {
        const char *name;
        struct http_text *kept;
        bool repeats; // the last line counts
    } texts[] = {
        {"host", &out->host, false},
        {"origin", &out->origin, false},
        {"cookie", &out->cookie, false},
        {"last-event-id", &out->last_event_id, false},
        {"sec-fetch-site", &out->fetch_site, true},
        {"authorization", &out->authorization, false},
        {"content-type", &out->content_type, false},
        {"access-control-request-method", &out->request_method, false},
    };
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        if (http_text_is(name, readers[i].name))
            return readers[i].read(r, value);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!http_text_is(name, texts[i].name))
            continue;
        if (texts[i].kept->at != NULL && !texts[i].repeats)
            return false;
        *texts[i].kept = value;
        return true;
    }
    return true;
}

// Checks what all fields together say.
static int policy_status(struct head_reader *r)
{
    struct http_request *out = r->out;
    bool may_continue = out->expects_continue && out->method == HTTP_POST && !out->http_1_0;
    if (out->host.at == NULL && !out->http_1_0)
        return 400;
    if (out->host.at != NULL && !http_authority_valid(out->host))
        return 400;
    // RFC 9112 section 3.2.2 lets the target win over Host; no honest client sends two different hosts.
    if (r->authority.at != NULL && out->host.at != NULL && !http_text_same(r->authority, out->host))
        return 400;
    if (r->transfer_encoding.at != NULL) {
        out->chunked = out->method == HTTP_POST && !out->http_1_0 && !r->transfer_encoded_twice &&
                       http_text_is(r->transfer_encoding, "chunked");
        return r->content_length ? 400 : 501;
    }
    if (r->expects_more || (out->expects_continue && !may_continue))
        return 417;
    if (r->body && (out->method == HTTP_GET || out->method == HTTP_HEAD || out->method == HTTP_OPTIONS))
        return 413;
    return 0;
}

// Reads the whole head that begins with its request line.
static int read_head(const char *head, size_t len, struct http_request *out)
{
    struct head_reader r = {.out = out};
    out->content_length = -1;
    const char *line_end = memchr(head, '\r', len);
    int status = request_line(&r, head, (size_t)(line_end - head));
    if (status != 0)
        return status;
    out->fields = (struct http_text){line_end + 2, len - (size_t)(line_end + 2 - head)};
    const char *after_method = out->target.at - 1;
    enum http_fields_result fields =
        http_fields_read(after_method, len - (size_t)(after_method - head), on_field, &r);
    if (fields == HTTP_FIELDS_BAD)
        return 400;
    if (fields == HTTP_FIELDS_ENCODING)
        r.transfer_encoding = (struct http_text){"", 0}; // refused below like any other
    // The bytes of a body that is not read must not be taken for a request.
    out->keep_alive = !r.connection_close && !r.body && (!out->http_1_0 || r.connection_keep_alive);
    out->accepts_event_stream = http_accept_event_stream(&r.accept);
    out->accepts_openmetrics = http_accept_openmetrics(&r.accept);
    return policy_status(&r);
}

// ---- all of it

// The status of what has come of a head; 0 where it is whole and taken, PARSE_MORE where it is not whole.
#define PARSE_MORE (-1)
static int parse_status(char *head, size_t *len, struct http_scan *scan, struct http_request *out,
                        size_t *head_len)
{
    size_t start = leading_lines(head, *len);
    if (start > LEADING_LINES_MAX * 2)
        return 400;
    int status = method_status(head + start, *len - start);
    if (status != 0)
        return status;
    switch (scan_head(head, len, start, scan, head_len)) {
    case HTTP_PARSE_ERROR:
        return scan->id_skipped > HTTP_ID_SKIP_MAX ? 431 : 400;
    case HTTP_PARSE_MORE:
        if (scan->scanned < HTTP_HEAD_MAX + scan->id_len)
            return PARSE_MORE;
        return scan->line <= start ? 414 : 431;
    case HTTP_PARSE_DONE:
        break;
    }
    return read_head(head + start, *head_len - start, out);
}

enum http_parse http_request_parse(char *head, size_t *len, struct http_scan *scan, struct http_request *out,
                                   size_t *head_len, int *status)
{
    *out = (struct http_request){0};
    *status = parse_status(head, len, scan, out, head_len);
    if (*status == 0)
        return HTTP_PARSE_DONE;
    if (*status == PARSE_MORE)
        return HTTP_PARSE_MORE;
    // Not from bytes that nothing was decided by: they may have come in this read, or be on their way.
    out->origin = http_request_origin(head, scan->scanned);
    return HTTP_PARSE_ERROR;
}

struct http_text http_request_origin(const char *head, size_t len)
{
    static const char name[] = "Origin:";
    size_t name_len = sizeof(name) - 1;
    const char *line = head + leading_lines(head, len), *end = head + len, *next;
    for (; (next = memchr(line, '\n', (size_t)(end - line))) != NULL && next - line > 1; line = next + 1) {
        struct http_text field = {line, (size_t)(next - line) - 1}; // without CRLF
        if (field.len >= name_len && http_text_is((struct http_text){line, name_len}, name))
            return http_text_trim((struct http_text){line + name_len, field.len - name_len});
    }
    return (struct http_text){NULL, 0};
}
