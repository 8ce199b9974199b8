#include "publisher-cli/failure.h"

#include <stdarg.h>
#include <stdio.h>

bool failure_set(struct failure *failure, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(failure->text, sizeof failure->text, format,
                    args); // cut, or the formats of our own wrong
    va_end(args);
    return false;
}

bool failure_out_of_memory(struct failure *failure)
{
    return failure_set(failure, "out of memory");
}
