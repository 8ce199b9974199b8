#include "gateway/fanout/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "common/pattern.h"

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

// False, and the reason, where the payload cannot become an event.
static bool message_event(enum payload_mode mode, const char *payload, size_t len, struct sse_event *event,
                          enum counter *dropped)
{
    struct envelope e;
    enum envelope_result result = mode == PAYLOAD_TEXT ? ENVELOPE_NONE : envelope_decode(payload, len, &e);
    if (result == ENVELOPE_INVALID) {
        *dropped = COUNTER_DROPPED_ENVELOPE;
        return false;
    }
    if (result == ENVELOPE_NONE && mode == PAYLOAD_ENVELOPE) {
        *dropped = COUNTER_DROPPED_PLAIN;
        return false;
    }
    // Over the whole payload: the fields must be text, too.
    if (!sse_text_valid(payload, len)) {
        *dropped = COUNTER_DROPPED_NOT_TEXT;
        return false;
    }
    if (result == ENVELOPE_NONE)
        *event = (struct sse_event){.data = payload, .data_len = len};
    else
        *event = (struct sse_event){.event = e.event,
                                    .event_len = e.event_len,
                                    .id = e.id,
                                    .id_len = e.id_len,
                                    .has_retry = e.has_retry,
                                    .retry_ms = e.retry_ms,
                                    .data = e.body,
                                    .data_len = e.body_len};
    return true;
}

struct frame *message_frame(const struct payload_policy *policy, uint64_t hash, const char *channel,
                            size_t channel_len, const char *payload, size_t len, enum counter *dropped)
{
    struct sse_event event;
    if (!message_event(payload_mode_of(policy, channel, channel_len), payload, len, &event, dropped))
        return NULL;
    struct frame *f = frame_create(&event, hash, channel, channel_len);
    if (!f)
        *dropped = COUNTER_DROPPED_MEMORY;
    return f;
}
