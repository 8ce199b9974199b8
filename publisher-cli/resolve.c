#include "publisher-cli/resolve.h"

#include "common/lookup.h"

struct addrinfo *resolve(const char *host, unsigned short port, uint64_t timeout_ms, struct failure *failure)
{
    // An address needs neither a wait nor a thread.
    struct addrinfo *found = lookup_numeric(host, port);
    struct lookup *lookup = found ? NULL : lookup_start(NULL, host, port, NULL, NULL);
    const char *error = "";
    if (found)
        return found;
    if (!lookup) {
        (void)failure_set(failure, "no memory or thread to look it up");
        return NULL;
    }
    if (!lookup_wait(lookup, timeout_ms))
        (void)failure_set(failure, "its name was not resolved within %llu ms",
                          (unsigned long long)timeout_ms);
    else if (!(found = lookup_take(lookup, &error)))
        (void)failure_set(failure, "%s", error);
    lookup_release(lookup);
    return found;
}
