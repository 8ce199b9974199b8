#include "gateway/client/stream_request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "gateway/client/stream_body.h"

#define SHOWN_NAME_MAX 64 // bytes of a wrong name that an error repeats

struct refusal {
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct refusal why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why.text, why.size, format, args); // cut where it does not fit
    va_end(args);
    return 400;
}

bool stream_request_init(struct stream_request *s, size_t max_channels)
{
    static_assert(STREAM_CHANNELS_MAX < UINT16_MAX, "the index has room for each");
    if (max_channels > STREAM_CHANNELS_MAX)
        max_channels = STREAM_CHANNELS_MAX;
    *s = (struct stream_request){.channel_cap = max_channels, .index_size = 2};
    while (s->index_size < 2 * max_channels)
        s->index_size *= 2;
    s->channels = calloc(max_channels > 0 ? max_channels : 1, sizeof(*s->channels));
    s->index = calloc(s->index_size, sizeof(*s->index));
    if (s->channels != NULL && s->index != NULL)
        return true;
    stream_request_deinit(s);
    return false;
}

void stream_request_deinit(struct stream_request *s)
{
    free(s->channels);
    free(s->index);
    *s = (struct stream_request){0};
}

static bool text_equals(struct http_text text, const char *s)
{
    return text.len == strlen(s) && memcmp(text.at, s, text.len) == 0;
}

static int refuse_name(struct refusal why, struct http_text name, enum channel_name_result result)
{
    int shown = name.len < SHOWN_NAME_MAX ? (int)name.len : SHOWN_NAME_MAX;
    const char *more = name.len > SHOWN_NAME_MAX ? "..." : "";
    switch (result) {
    case CHANNEL_NAME_OK:
        break;
    case CHANNEL_NAME_EMPTY:
        return refuse(why, "a channel parameter is empty; write ?channel=NAME");
    case CHANNEL_NAME_TOO_LONG:
        return refuse(why, "channel \"%.*s%s\" is longer than %d bytes", shown, name.at, more,
                      CHANNEL_NAME_MAX);
    case CHANNEL_NAME_BAD_BYTE:
        return refuse(why, "channel \"%.*s%s\" has a byte other than A-Z a-z 0-9 _ . : @ / -", shown, name.at,
                      more);
    case CHANNEL_NAME_RESERVED:
        return refuse(why, "channel \"%.*s%s\" is reserved: names must not begin with \"__\" or \"sse:\"",
                      shown, name.at, more);
    }
    return 0;
}

// Where the index has the channel of that name, or has room for it: of 4,096 channels none is compared with all others.
static uint16_t *find_channel(const struct stream_request *s, struct http_text name)
{
    size_t mask = s->index_size - 1, i = map_hash(name.at, name.len) & mask;
    for (; s->index[i] != 0; i = (i + 1) & mask) {
        const struct stream_channel *there = &s->channels[s->index[i] - 1];
        if (there->len == name.len && memcmp(there->name, name.at, name.len) == 0)
            break;
    }
    return &s->index[i];
}

static int add_channel(struct stream_request *s, struct http_text name, struct refusal why)
{
    int status = refuse_name(why, name, channel_name_check(name.at, name.len));
    if (status != 0)
        return status;
    uint16_t *place = find_channel(s, name);
    if (*place != 0)
        return 0;
    if (s->channel_count == s->channel_cap)
        return refuse(why, "more than %zu channels; open another stream for the rest", s->channel_cap);
    struct stream_channel *channel = &s->channels[s->channel_count++];
    *place = (uint16_t)s->channel_count;
    assert(name.len < sizeof(channel->name));
    memcpy(channel->name, name.at, name.len);
    channel->name[name.len] = '\0';
    channel->len = name.len;
    return 0;
}

static bool is_id_byte(char c)
{
    return http_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

static const struct http_text foreign_id = {"?", 1};

static bool is_id(struct http_text text)
{
    bool ours = text.len <= LAST_EVENT_ID_MAX;
    for (size_t i = 0; ours && i < text.len; i++)
        ours = is_id_byte(text.at[i]);
    return ours;
}

static void forget_ids(struct stream_request *s)
{
    s->last_event_id[0] = '\0';
    s->id_count = 0;
}

// An id that no gateway has made becomes "?": the client has an id, but not one that says where to resume. False where
// no more ids have room.
static bool add_id(struct stream_request *s, struct http_text id)
{
    if (!is_id(id))
        id = foreign_id;
    size_t len = strlen(s->last_event_id), comma = len > 0;
    bool has_room = len + comma + id.len <= LAST_EVENT_IDS_MAX && s->id_count < LAST_EVENT_IDS_COUNT;
    if (!has_room)
        id = foreign_id;
    assert(len + comma + id.len < sizeof(s->last_event_id));
    s->last_event_id[len] = ',';
    memcpy(s->last_event_id + len + comma, id.at, id.len);
    s->last_event_id[len + comma + id.len] = '\0';
    s->id_count++;
    return has_room;
}

// Adds the ids of `list`, which have commas between them, and maybe blanks: lines of a header that a proxy has joined.
static bool add_ids(struct stream_request *s, struct http_text list)
{
    const char *end = list.at + list.len, *comma;
    for (const char *at = list.at; at < end; at = comma + 1) {
        comma = memchr(at, ',', (size_t)(end - at));
        comma = comma != NULL ? comma : end;
        struct http_text id = http_text_trim((struct http_text){at, (size_t)(comma - at)});
        if (id.len > 0 && !add_id(s, id))
            return false;
    }
    return true;
}

// Where the last event id was found, the better the lower.
enum id_source { ID_HEADER, ID_BODY_SNAKE_CASE, ID_BODY_CAMEL_CASE, ID_SNAKE_CASE, ID_CAMEL_CASE, ID_NONE };

struct parameter_reader {
    struct stream_request *s;
    enum id_source id_source;
    bool ids_are_full;
    bool in_body; // behind the query: of control, source, live and wait the last one counts
    struct refusal why;
};

static void offer_last_event_id(struct parameter_reader *r, enum id_source source, struct http_text id)
{
    if (source > r->id_source || id.len == 0)
        return; // an empty one is as good as none
    if (source < r->id_source) {
        forget_ids(r->s);
        r->ids_are_full = false;
    }
    r->id_source = source;
    r->ids_are_full = r->ids_are_full || !add_ids(r->s, id);
}

static int read_live(struct parameter_reader *r, struct http_text value)
{
    bool is_off = text_equals(value, "0");
    if (!is_off && !text_equals(value, "1"))
        return refuse(r->why, "live is 0 (what is kept, and the end) or 1");
    r->s->once = is_off;
    return 0;
}

static int read_wait(struct parameter_reader *r, struct http_text value)
{
    unsigned seconds = 0;
    for (size_t i = 0; i < value.len && seconds <= STREAM_WAIT_MAX_S; i++)
        seconds = http_is_digit(value.at[i]) ? seconds * 10 + (unsigned)(value.at[i] - '0') : UINT8_MAX;
    if (seconds == 0 || seconds > STREAM_WAIT_MAX_S)
        return refuse(r->why, "wait is a number of seconds from 1 to %d", STREAM_WAIT_MAX_S);
    r->s->wait_s = (uint8_t)seconds;
    return 0;
}

static int on_parameter(void *reader, struct http_text name, struct http_text value)
{
    struct parameter_reader *r = reader;
    if (text_equals(name, "channel"))
        return add_channel(r->s, value, r->why);
    if (text_equals(name, "last_event_id"))
        offer_last_event_id(r, r->in_body ? ID_BODY_SNAKE_CASE : ID_SNAKE_CASE, value);
    else if (text_equals(name, "lastEventId"))
        offer_last_event_id(r, r->in_body ? ID_BODY_CAMEL_CASE : ID_CAMEL_CASE, value);
    else if (text_equals(name, "control"))
        r->s->control = text_equals(value, "1");
    else if (text_equals(name, "source"))
        r->s->source = text_equals(value, "1");
    else if (text_equals(name, "live"))
        return read_live(r, value);
    else if (text_equals(name, "wait"))
        return read_wait(r, value);
    return 0;
}

int stream_request_parse(struct stream_request *s, const struct http_request *req, char *detail,
                         size_t detail_size)
{
    struct parameter_reader r = {.s = s, .id_source = ID_NONE, .why = {detail, detail_size}};
    s->channel_count = 0;
    memset(s->index, 0, s->index_size * sizeof(*s->index));
    forget_ids(s);
    s->control = false;
    s->source = false;
    s->once = false;
    s->wait_s = 0;
    if (req->last_event_id.at != NULL)
        offer_last_event_id(&r, ID_HEADER, req->last_event_id);

    const struct parameter_sink sink = {on_parameter, &r, detail, detail_size};
    int status = stream_form_read(req->query, &sink, "query");
    r.in_body = true;
    if (status == 0)
        status = stream_body_read(req, &sink);
    if (status != 0)
        return status;
    if (s->channel_count == 0)
        return refuse(r.why, "no channel; write ?channel=NAME, several times for several channels");
    s->once = s->once || s->wait_s > 0;
    return 0;
}
