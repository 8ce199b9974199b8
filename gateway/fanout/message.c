#include "gateway/fanout/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "common/pattern.h"
#include "common/utf8.h"
#include "gateway/fanout/cursor.h"

bool payload_rule_parse(const char *text, struct payload_rule *rule, char *error, size_t error_size)
{
    static const char *const modes[] = {"auto", "text", "envelope"};
    const char *equals = strrchr(text, '=');
    const char *mode = equals ? equals + 1 : text;
    *rule = (struct payload_rule){.pattern = equals ? strndup(text, (size_t)(equals - text)) : strdup("*")};
    for (int i = 0; i < 3; i++) {
        if (strcmp(mode, modes[i]) == 0 && rule->pattern && pattern_valid(rule->pattern)) {
            rule->mode = (enum payload_mode)i;
            return true;
        }
    }
    free(rule->pattern);
    rule->pattern = NULL;
    snprintf(error, error_size, "is not auto, text, envelope or PATTERN=MODE; write for example chat:*=text");
    return false;
}

void payload_policy_deinit(struct payload_policy *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->rules[i].pattern);
    free(p->rules);
    *p = (struct payload_policy){0};
}

static enum payload_mode payload_mode_of(const struct payload_policy *policy, const char *channel, size_t len)
{
    for (size_t i = 0; i < policy->count; i++)
        if (pattern_matches(policy->rules[i].pattern, channel, len))
            return policy->rules[i].mode;
    return PAYLOAD_AUTO;
}

bool payload_may_be_durable(const struct payload_policy *policy, const char *channel, size_t len)
{
    return payload_mode_of(policy, channel, len) != PAYLOAD_TEXT;
}

// "<ms>-<offset> <ms>-<offset> <epoch>", as the function sse_publish writes it.
static bool parse_place(const char *text, size_t len, struct event_place *place)
{
    const char *end = text + len;
    size_t n = event_id_parse(text, len, &place->at);
    if (n == 0 || n == len || text[n] != ' ')
        return false;
    text += n + 1;
    n = event_id_parse(text, (size_t)(end - text), &place->prev);
    if (n == 0 || text + n == end || text[n] != ' ')
        return false;
    text += n + 1;
    n = event_id_parse_number(text, (size_t)(end - text), &place->epoch);
    return n > 0 && text + n == end && event_id_before(place->prev, place->at) &&
           place->at.offset == place->prev.offset + 1;
}

static struct sse_event event_of(const struct envelope *e)
{
    return (struct sse_event){.event = e->event,
                              .event_len = e->event_len,
                              .id = e->id,
                              .id_len = e->id_len,
                              .has_retry = e->has_retry,
                              .retry_ms = e->retry_ms,
                              .data = e->body,
                              .data_len = e->body_len};
}

// False, and the reason, where the payload cannot become an event.
static bool read_payload(enum payload_mode mode, const char *payload, size_t len, struct envelope *e,
                         struct sse_event *event, enum counter *dropped)
{
    *e = (struct envelope){0};
    enum envelope_result result = mode == PAYLOAD_TEXT ? ENVELOPE_NONE : envelope_decode(payload, len, e);
    if (result == ENVELOPE_INVALID) {
        *dropped = COUNTER_DROPPED_ENVELOPE;
        return false;
    }
    if (result == ENVELOPE_NONE && mode == PAYLOAD_ENVELOPE) {
        *dropped = COUNTER_DROPPED_PLAIN;
        return false;
    }
    // Over the whole payload: the fields must be text, too. Of several events each is looked at for itself.
    if (e->earlier_count == 0 && !utf8_text_valid(payload, len)) {
        *dropped = COUNTER_DROPPED_NOT_TEXT;
        return false;
    }
    *event = result == ENVELOPE_NONE ? (struct sse_event){.data = payload, .data_len = len} : event_of(e);
    if (e->id && !envelope_id_returns(e->id, e->id_len)) {
        event->id = NULL;
        *dropped = COUNTER_IDS_DROPPED;
    }
    return true;
}

struct frame *message_durable_frame(struct channel_ref channel, const struct event_place *place,
                                    const struct sse_event *event)
{
    char id[CURSOR_MAX];
    struct sse_event with_id = *event;
    with_id.id = id;
    with_id.id_len = cursor_encode(
        &(struct cursor_entry){.hash = cursor_hash(channel.name, channel.len), .at = place->at}, 1, id);
    with_id.is_snapshot = place->is_snapshot;
    struct frame *f = frame_create(&with_id, channel);
    if (f) {
        f->durable = true;
        f->is_snapshot = place->is_snapshot;
        f->prev = place->prev;
        f->at = place->at;
        f->epoch = place->epoch;
        f->ends = place->ends;
    }
    return f;
}

// A trace that cannot be kept for want of memory is lost, and the event is not.
static struct frame_trace *trace_of(const struct envelope *e)
{
    if (!e->traceparent && !e->trace_to)
        return NULL;
    struct frame_trace *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (e->traceparent && !trace_parent_parse(e->traceparent, e->traceparent_len, t->id, &t->is_logged))
        t->is_odd = true;
    if (e->trace_to && trace_channel_valid(e->trace_to, e->trace_to_len))
        memcpy(t->reply, e->trace_to, e->trace_to_len);
    else if (e->trace_to)
        t->is_odd = true;
    return t;
}

// The place of the first event, where the line of the last one and that of what comes before all of them fit together:
// the events of one message have the same milliseconds, and their offsets have no hole.
static bool place_of_first(const struct envelope *e, const struct event_place *last,
                           struct event_place *first)
{
    *first = (struct event_place){.epoch = last->epoch, .is_snapshot = e->is_snapshot};
    size_t n = e->first ? event_id_parse(e->first, e->first_len, &first->prev) : 0;
    if (n == 0 || n != e->first_len || last->at.offset <= e->earlier_count || last->prev.ms != last->at.ms)
        return false;
    first->at = (struct event_id){last->at.ms, last->at.offset - e->earlier_count};
    return event_id_before(first->prev, first->at) && first->prev.offset + 1 == first->at.offset;
}

static struct message_event one_of_several(struct channel_ref channel, const struct event_place *place,
                                           const struct sse_event *event, size_t max_data)
{
    struct message_event made = {.dropped = COUNTER_COUNT};
    if (event->data_len > max_data)
        made.dropped = COUNTER_DROPPED_TOO_LARGE;
    else if (!utf8_text_valid(event->data, event->data_len) ||
             !utf8_text_valid(event->event, event->event_len))
        made.dropped = COUNTER_DROPPED_NOT_TEXT;
    else if (!(made.frame = message_durable_frame(channel, place, event)))
        made.dropped = COUNTER_DROPPED_MEMORY;
    made.is_lost = !made.frame && place->ends;
    return made;
}

// All but the last event. Returns how many there are up to the one for which there was no memory.
static size_t earlier_events(struct channel_ref channel, const struct envelope *e, struct event_place place,
                             size_t max_data, struct message_event *events)
{
    char *scratch = e->earlier_escaped ? malloc(e->earlier_escaped) : NULL;
    const char *line = e->earlier;
    size_t count = 0;
    while (count < e->earlier_count) {
        struct envelope_event earlier;
        events[count] = (struct message_event){.dropped = COUNTER_DROPPED_MEMORY};
        if (scratch || !e->earlier_escaped) {
            envelope_earlier(&line, &earlier, scratch);
            const struct sse_event event = {.event = earlier.event_len ? earlier.event : NULL,
                                            .event_len = earlier.event_len,
                                            .data = earlier.data,
                                            .data_len = earlier.data_len};
            events[count] = one_of_several(channel, &place, &event, max_data);
        }
        if (events[count++].dropped == COUNTER_DROPPED_MEMORY)
            break;
        place.prev = place.at;
        place.at.offset++;
        place.is_snapshot = false;
    }
    free(scratch);
    return count;
}

size_t message_events(const struct payload_policy *policy, struct channel_ref channel, const char *payload,
                      size_t len, size_t max_data, struct message_event events[MESSAGE_EVENTS_MAX])
{
    struct sse_event event;
    struct envelope e;
    struct event_place place, first;
    struct message_event *last = events;
    *last = (struct message_event){.dropped = COUNTER_COUNT};
    if (!read_payload(payload_mode_of(policy, channel.name, channel.len), payload, len, &e, &event,
                      &last->dropped)) {
        last->is_lost = last->dropped == COUNTER_DROPPED_NOT_TEXT && e.durable && e.ends;
        return 1;
    }
    if (e.earlier_count == 0 && len > max_data) {
        last->dropped = COUNTER_DROPPED_TOO_LARGE;
        return 1;
    }
    if ((e.durable && !parse_place(e.durable, e.durable_len, &place)) ||
        (e.earlier_count > 0 && (!e.durable || !place_of_first(&e, &place, &first)))) {
        last->dropped = COUNTER_DROPPED_ENVELOPE;
        return 1;
    }
    place.is_snapshot = e.is_snapshot && e.earlier_count == 0; // of the first event
    place.ends = e.durable && e.ends; // the last event of the message, not those before it
    if (e.earlier_count > 0) {
        last += earlier_events(channel, &e, first, max_data, events);
        if (last[-1].dropped == COUNTER_DROPPED_MEMORY)
            return (size_t)(last - events);
        *last = one_of_several(channel, &place, &event, max_data);
    } else {
        last->frame =
            e.durable ? message_durable_frame(channel, &place, &event) : frame_create(&event, channel);
        last->dropped = last->frame ? last->dropped : COUNTER_DROPPED_MEMORY;
    }
    if (last->frame)
        last->frame->trace = trace_of(&e);
    return (size_t)(last - events) + 1;
}
