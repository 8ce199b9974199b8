#include "common/function_library.h"

#include <string.h>

// All but the first line, "#!lua name=sse", which no script may have before Redis 7.
const char *function_library_script(void)
{
    return strchr(function_library_text, '\n') + 1;
}
