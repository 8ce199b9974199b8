// A client is turned away only where its Accept excludes what the gateway has (RFC 9110 section 12.5.1).
#include <string.h>

#include "gateway/client/http_accept.h"
#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *lines[2]; // of one field; NULL: no more
    bool accepted;
} accepts[] = {
    {{NULL}, true},
    {{""}, true},
    {{","}, true},
    {{"*/*"}, true},
    {{"*"}, true},
    {{"text/event-stream"}, true},
    {{"TEXT/Event-Stream"}, true},
    {{"text/html, text/event-stream"}, true},
    {{"text/html,text/event-stream;q=0.1"}, true},
    {{"text/*"}, true},
    {{"application/*"}, false},
    {{"application/json"}, false},
    {{"text/html"}, false},
    {{"text/event-stream;q=0, */*"}, false},
    {{"*/*, text/event-stream;q=0"}, false},
    {{"*/*;q=0.5, text/*;q=0"}, false},
    {{"text/*;q=0, text/event-stream"}, true},
    {{"text/event-stream, */*;q=0"}, true},
    {{"*/*;q=0"}, false},
    {{"*/* ; Q=0.000"}, false},
    {{"*/*;q=0.001"}, true},
    {{"text/event-stream;charset=utf-8;q=0.9"}, true},
    {{"text/event-stream;x=\"a,b;q=0\""}, true},
    {{"text/html;x=\"a\\\", text/event-stream\""}, false},
    {{"text/event-stream;x=\";q=0;\""}, true},
    {{"text/html;x=\"a, text/event-stream, b\""}, false},
    {{"text/html;x=\"a\\\", text/event-stream, b\""}, false},
    {{"text/event-streams"}, false},
    {{"text/event-strea"}, false},
    {{"text"}, false},
    {{"text/html", "text/event-stream"}, true},
    {{"text/event-stream;q=0", "*/*"}, false},
    {{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}, true}, // HttpURLConnection
};

TEST_EACH(accept_is_negotiated, accepts)
{
    struct http_accept a = {0};
    for (int i = 0; i < 2; i++) {
        const char *line = accepts[_i].lines[i];
        if (line != NULL)
            http_accept_scan(&a, (struct http_text){line, strlen(line)});
    }
    ck_assert_int_eq(http_accept_event_stream(&a), accepts[_i].accepted);
}

static const struct {
    const char *line;
    bool asks;
} openmetrics[] = {
    {"", false},
    {"*/*", false},
    {"text/plain", false},
    {"application/openmetrics-text", true},
    {"application/openmetrics-text; version=1.0.0", true},
    {"application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", true},
    {"application/openmetrics-text; version=0.0.1", false},
    {"application/openmetrics-text;q=0", false},
    // Prometheus 2.42
    {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     true},
    {"application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.5", false},
    {"text/plain;q=.25, application/openmetrics-text;q=0.250", true},
    {"text/plain, application/openmetrics-text;q=0.999", false},
};

TEST_EACH(openmetrics_is_for_those_that_ask_for_it, openmetrics)
{
    struct http_accept a = {0};
    http_accept_scan(&a, (struct http_text){openmetrics[_i].line, strlen(openmetrics[_i].line)});
    ck_assert_int_eq(http_accept_openmetrics(&a), openmetrics[_i].asks);
}
