#include "gateway/auth/token_verdict.h"

#include <assert.h>

const char *token_verdict_text(enum token_verdict verdict)
{
    static const char *const texts[] = {
#define X(symbol, name, text) text,
        TOKEN_VERDICTS(X)
#undef X
    };
    assert(verdict < TOKEN_VERDICT_COUNT);
    return texts[verdict];
}
