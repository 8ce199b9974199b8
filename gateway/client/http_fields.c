#include "gateway/client/http_fields.h"

#include <llhttp.h>

struct field_reader {
    struct http_text name, value;
    bool (*on_field)(void *ctx, struct http_text name, struct http_text value);
    void *ctx;
};

// llhttp may hand out a text in pieces that follow each other.
static void join(struct http_text *text, const char *at, size_t len)
{
    if (text->at == NULL)
        text->at = at;
    text->len = (size_t)(at + len - text->at);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct field_reader *r = parser->data;
    join(&r->name, at, len);
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct field_reader *r = parser->data;
    join(&r->value, at, len);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct field_reader *r = parser->data;
    struct http_text value = r->value.at != NULL ? http_text_trim(r->value) : (struct http_text){"", 0};
    // llhttp built without its strict mode lets spaces be in names.
    bool good = http_text_is_token(r->name) && r->on_field(r->ctx, r->name, value);
    r->name = r->value = (struct http_text){NULL, 0};
    return good ? 0 : -1;
}

// Stops there: what follows the head is not llhttp's to read.
static int on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

enum http_fields_result
http_fields_read(const char *rest, size_t len,
                 bool (*on_field)(void *ctx, struct http_text name, struct http_text value), void *ctx)
{
    static const llhttp_settings_t settings = {.on_header_field = on_header_field,
                                               .on_header_value = on_header_value,
                                               .on_header_value_complete = on_header_value_complete,
                                               .on_headers_complete = on_headers_complete};
    struct field_reader r = {.on_field = on_field, .ctx = ctx};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &r;
    llhttp_errno_t e = llhttp_execute(&parser, "GET", 3);
    if (e == HPE_OK)
        e = llhttp_execute(&parser, rest, len);
    if (e == HPE_INVALID_TRANSFER_ENCODING)
        return HTTP_FIELDS_ENCODING;
    return e == HPE_PAUSED ? HTTP_FIELDS_OK : HTTP_FIELDS_BAD;
}
