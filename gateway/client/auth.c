#include "gateway/client/auth.h"

#include <stdio.h>

#include "common/pattern.h"

static bool is_anonymous(const struct client_settings *settings, const struct stream_channel *channel)
{
    for (size_t i = 0; i < settings->anonymous_count; i++)
        if (pattern_matches(settings->anonymous[i], channel->name, channel->len))
            return true;
    return false;
}

int auth_check(const struct client_settings *settings, const struct stream_request *want, char *detail,
               size_t detail_size)
{
    for (size_t i = 0; i < want->channel_count; i++) {
        if (is_anonymous(settings, &want->channels[i]))
            continue;
        snprintf(detail, detail_size, "The channel %s is not open to you.", want->channels[i].name);
        return 403;
    }
    return 0;
}
