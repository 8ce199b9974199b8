#include "publisher-cli/channel.h"

#include "common/pattern.h"

#include <string.h>

bool channel_check(const char *channel, struct failure *failure)
{
    switch (channel_name_check(channel, strlen(channel))) {
    case CHANNEL_NAME_OK:
        return true;
    case CHANNEL_NAME_EMPTY:
        return failure_set(failure, "CHANNEL is empty");
    case CHANNEL_NAME_TOO_LONG:
        return failure_set(failure, "CHANNEL is too long; a name has 128 bytes at most");
    case CHANNEL_NAME_RESERVED:
        return failure_set(failure,
                           "CHANNEL is reserved; choose a name that begins with neither \"__\" nor \"sse:\"");
    case CHANNEL_NAME_BAD_BYTE:
        break;
    }
    return failure_set(failure, "CHANNEL may only hold the characters A-Z a-z 0-9 _ . : @ / -");
}
