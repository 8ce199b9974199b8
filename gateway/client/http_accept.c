#include "gateway/client/http_accept.h"

#include <strings.h>

// Cuts the next piece off `*rest`, up to `separator` outside of a quoted string. False where nothing is left.
static bool next_piece(struct http_text *rest, char separator, struct http_text *piece)
{
    if (rest->at == NULL)
        return false;
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->len && (quoted || rest->at[i] != separator); i++) {
        if (rest->at[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->at[i] == '\\' && i + 1 < rest->len)
            i++;
    }
    *piece = http_text_trim((struct http_text){rest->at, i});
    if (i == rest->len)
        *rest = (struct http_text){NULL, 0};
    else
        *rest = (struct http_text){rest->at + i + 1, rest->len - i - 1};
    return true;
}

// "q=0", "Q=0.5", ".2", in thousandths. A weight that cannot be read counts as 1, as most servers have it. `*weight` is
// left as it is where the parameter is another one.
static void read_weight(struct http_text parameter, unsigned *weight)
{
    if (parameter.len < 3 || (parameter.at[0] | 0x20) != 'q' || parameter.at[1] != '=')
        return;
    unsigned sum = 0, unit = 1000;
    for (size_t i = 2; i < parameter.len; i++) {
        char c = parameter.at[i];
        if (c != '.' && (!http_is_digit(c) || (unit == 0 && c != '0'))) {
            sum = 1000;
            break;
        }
        sum += c == '.' ? 0 : (unsigned)(c - '0') * unit;
        unit = c == '.' ? 100 : unit / 10;
    }
    *weight = sum > 1000 ? 1000 : sum;
}

static unsigned char specificity_of(struct http_text range)
{
    if (http_text_is(range, "text/event-stream"))
        return 3;
    if (http_text_is(range, "text/*"))
        return 2;
    return http_text_is(range, "*/*") || http_text_is(range, "*") ? 1 : 0; // "*": Java's HttpURLConnection
}

// A version of OpenMetrics other than 1.0.0.
static bool is_old_version(struct http_text parameter)
{
    static const char name[] = "version=";
    return parameter.len >= sizeof name - 1 && strncasecmp(parameter.at, name, sizeof name - 1) == 0 &&
           !http_text_is(parameter, "version=1.0.0") && !http_text_is(parameter, "version=\"1.0.0\"");
}

void http_accept_scan(struct http_accept *a, struct http_text value)
{
    struct http_text element, range, parameter;
    while (next_piece(&value, ',', &element)) {
        if (element.len == 0)
            continue;
        a->any_range = true;
        unsigned weight = 1000;
        bool is_new_version = true;
        if (!next_piece(&element, ';', &range))
            continue;
        while (next_piece(&element, ';', &parameter)) {
            read_weight(parameter, &weight);
            is_new_version = is_new_version && !is_old_version(parameter);
        }
        bool wanted = weight > 0;
        if (http_text_is(range, "application/openmetrics-text") && is_new_version && weight > a->openmetrics)
            a->openmetrics = (unsigned short)weight;
        if (http_text_is(range, "text/plain") && weight > a->plain)
            a->plain = (unsigned short)weight;
        unsigned char specificity = specificity_of(range);
        if (specificity == 0 || specificity < a->specificity)
            continue;
        a->wanted = wanted || (specificity == a->specificity && a->wanted);
        a->specificity = specificity;
    }
}

bool http_accept_event_stream(const struct http_accept *a)
{
    return !a->any_range || a->wanted;
}

bool http_accept_openmetrics(const struct http_accept *a)
{
    return a->openmetrics > 0 && a->openmetrics >= a->plain;
}
