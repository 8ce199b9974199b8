#include "gateway/auth/jwt_algorithm.h"

#include <string.h>

bool jwt_algorithm_find(const char *name, size_t len, enum jwt_algorithm *algorithm)
{
    static const char *const names[] = {
#define X(name) #name,
        JWT_ALGORITHMS(X)
#undef X
    };
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            *algorithm = (enum jwt_algorithm)i;
            return true;
        }
    }
    return false;
}

bool jwt_algorithms_add(const char *names, unsigned *set)
{
    for (const char *at = names;; at++) {
        enum jwt_algorithm found;
        size_t len = strcspn(at, ",");
        if (!jwt_algorithm_find(at, len, &found))
            return false;
        *set |= JWT_BIT(found);
        at += len;
        if (*at == '\0')
            return true;
    }
}
