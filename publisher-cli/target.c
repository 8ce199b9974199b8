#include "publisher-cli/target.h"

bool target_init(const struct settings *settings, struct redis_url *url, struct redis_target *target,
                 struct failure *failure)
{
    struct redis_options options = settings->redis;
    static char default_url[] = REDIS_DEFAULT_URL;
    if (options.url == NULL)
        options.url = default_url;
    *target = (struct redis_target){url, settings->timeout, false};
    return redis_options_url(&options, url, failure->text, sizeof failure->text);
}
