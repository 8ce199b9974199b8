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

int auth_identify(const struct client_settings *settings, const struct http_request *req,
                  struct principal **who, char *detail, size_t detail_size)
{
    (void)settings, (void)req, (void)detail, (void)detail_size; // no kind of credentials is known
    *who = NULL;
    return 0;
}

int auth_check(const struct client_settings *settings, const struct principal *who,
               const struct stream_request *want, char *detail, size_t detail_size)
{
    for (size_t i = 0; i < want->channel_count; i++) {
        const struct stream_channel *channel = &want->channels[i];
        if (is_anonymous(settings, channel) || principal_may(who, channel->name, channel->len))
            continue;
        snprintf(detail, detail_size, "The channel %s is not open to you.", want->channels[i].name);
        return 403;
    }
    return 0;
}
