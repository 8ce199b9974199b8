#include "gateway/client/http_accept.h"

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

// "q=0", "Q=0.000"; a weight that cannot be read counts as 1, as most servers have it.
static bool is_weight_of_zero(struct http_text parameter)
{
    if (parameter.len < 3 || (parameter.at[0] | 0x20) != 'q' || parameter.at[1] != '=')
        return false;
    for (size_t i = 2; i < parameter.len; i++)
        if (parameter.at[i] != '0' && parameter.at[i] != '.')
            return false;
    return true;
}

static unsigned char specificity_of(struct http_text range)
{
    if (http_text_is(range, "text/event-stream"))
        return 3;
    if (http_text_is(range, "text/*"))
        return 2;
    return http_text_is(range, "*/*") || http_text_is(range, "*") ? 1 : 0; // "*": Java's HttpURLConnection
}

void http_accept_scan(struct http_accept *a, struct http_text value)
{
    struct http_text element, range, parameter;
    while (next_piece(&value, ',', &element)) {
        if (element.len == 0)
            continue;
        a->any_range = true;
        bool wanted = true;
        if (!next_piece(&element, ';', &range))
            continue;
        while (next_piece(&element, ';', &parameter))
            wanted = wanted && !is_weight_of_zero(parameter);
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
