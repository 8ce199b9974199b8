#include "gateway/client/close_reason.h"

#include <assert.h>

const char *close_reason_name(enum close_reason reason)
{
    static const char *const names[] = {
#define X(symbol, name, meaning) name,
        CLOSE_REASONS(X)
#undef X
    };
    assert(reason < CLOSE_REASON_COUNT);
    return names[reason];
}
