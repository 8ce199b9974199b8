#include "gateway/client/stream_body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway/auth/json_strict.h"
#include "gateway/client/http_target.h"

#define DEPTH_MAX 2 // an object, and lists in it

enum body_type { BODY_OTHER, BODY_FORM, BODY_JSON };

__attribute__((format(printf, 4, 5))) static int refuse(char *detail, size_t size, int status,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, size, format, args); // cut where it does not fit
    va_end(args);
    return status;
}

// RFC 9110 section 8.3.1: parameters say nothing here, both types are of UTF-8.
static enum body_type type_of(const struct http_request *req)
{
    struct http_text type = req->content_type;
    const char *semicolon = type.len > 0 ? memchr(type.at, ';', type.len) : NULL;
    if (semicolon)
        type.len = (size_t)(semicolon - type.at);
    type = http_text_trim(type);
    return http_text_is(type, "application/x-www-form-urlencoded") ? BODY_FORM
           : http_text_is(type, "application/json")                ? BODY_JSON
                                                                   : BODY_OTHER;
}

int stream_body_check(const struct http_request *req, char *detail, size_t detail_size)
{
    if (req->content_length < 0)
        return refuse(detail, detail_size, 411, "Send the body with Content-Length.");
    if (req->content_length > STREAM_BODY_MAX)
        return refuse(detail, detail_size, 413, "The body may have %d bytes.", STREAM_BODY_MAX);
    if (req->content_length > 0 && type_of(req) == BODY_OTHER)
        return refuse(detail, detail_size, 415,
                      "The body may be application/x-www-form-urlencoded or application/json.");
    return 0;
}

size_t stream_body_len(const struct http_request *req)
{
    char ignored[1];
    return stream_body_check(req, ignored, sizeof ignored) == 0 ? (size_t)req->content_length : 0;
}

static bool is_id_parameter(struct http_text name)
{
    static const char *const names[] = {"last_event_id", "lastEventId"};
    for (size_t i = 0; name.at != NULL && i < sizeof names / sizeof *names; i++)
        if (name.len == strlen(names[i]) && memcmp(name.at, names[i], name.len) == 0)
            return true;
    return false;
}

int stream_form_read(struct http_text form, const struct parameter_sink *sink, const char *what)
{
    char decoded[STREAM_BODY_MAX]; // decoding never makes a text longer: any parameter fits
    struct http_text name, value;
    int more;
    while ((more = http_query_next(&form, decoded, sizeof decoded, &name, &value)) != 0) {
        if (more < 0) {
            if (!is_id_parameter(name))
                return refuse(sink->detail, sink->detail_size, 400,
                              "the %s has a broken percent-encoding or an encoded NUL", what);
            value = (struct http_text){"?", 1};
        }
        int status = sink->take(sink->ctx, name, value);
        if (status != 0)
            return status;
    }
    return 0;
}

static int take_value(const struct parameter_sink *sink, const char *name, const json_t *value)
{
    char number[24];
    const char *text = json_strict_text(value);
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "1" : "0";
    }
    if (!text)
        return refuse(sink->detail, sink->detail_size, 400,
                      "\"%.64s\" is a text, a whole number, true, false, or a list of those", name);
    return sink->take(sink->ctx, (struct http_text){name, strlen(name)},
                      (struct http_text){text, strlen(text)});
}

static int take_member(const struct parameter_sink *sink, const char *name, const json_t *value)
{
    int status = 0;
    if (json_is_null(value))
        return 0;
    if (!json_is_array(value))
        return take_value(sink, name, value);
    for (size_t i = 0; status == 0 && i < json_array_size(value); i++)
        status = take_value(sink, name, json_array_get(value, i));
    return status;
}

static bool is_parameter(const char *name)
{
    static const char *const names[] = {"channel", "last_event_id", "lastEventId", "control",
                                        "source",  "live",          "wait"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int read_json(struct http_text body, const struct parameter_sink *sink)
{
    json_t *object = json_strict_object(body.at, body.len, DEPTH_MAX);
    const char *name;
    json_t *value;
    int status = 0;
    if (!object && errno == ENOMEM)
        return refuse(sink->detail, sink->detail_size, 503, "This gateway is short of memory; try again.");
    if (!object)
        return refuse(sink->detail, sink->detail_size, 400,
                      "the body is not one JSON object, such as {\"channel\":[\"a\",\"b\"]}");
    json_object_foreach(object, name, value)
    {
        status = is_parameter(name) ? take_member(sink, name, value) : 0; // whatever an unknown member holds
        if (status != 0)
            break;
    }
    json_decref(object);
    return status;
}

int stream_body_read(const struct http_request *req, const struct parameter_sink *sink)
{
    if (req->body.len == 0)
        return 0;
    return type_of(req) == BODY_JSON ? read_json(req->body, sink) : stream_form_read(req->body, sink, "body");
}
