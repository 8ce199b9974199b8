// Key sets and PEM files: whatever is in one, a key that is made has an algorithm, and only such as its set may give.
#include <string.h>

#include "gateway/auth/key_set.h"
#include "tests/fuzz/fuzz.h"

static void check_set(struct key_set *set, bool secrets)
{
    struct jwt jwt = {.text = "a.b", .signed_len = 3, .signature_len = 64};
    for (size_t i = 0; i < set->count; i++) {
        unsigned algorithms = jwt_key_algorithms(set->keys[i]);
        CHECK(algorithms != 0 && (algorithms & ~JWT_ALL) == 0);
        CHECK(secrets || !(algorithms & JWT_SYMMETRIC));
        for (unsigned a = 0; a < JWT_ALGORITHM_COUNT; a++) {
            jwt.algorithm = (enum jwt_algorithm)a;
            if (algorithms & JWT_BIT(a))
                CHECK(jwt_key_check(set->keys[i], &jwt) != TOKEN_ACCEPTED); // a signature of 0
        }
    }
}

static void try_jwks(const char *text, size_t len, bool secrets)
{
    char error[256] = "";
    struct key_set *set = key_set_create();
    CHECK(set != NULL);
    bool ok = key_set_add_jwks(set, text, len, secrets, error, sizeof error);
    CHECK(ok == (set->count > 0) && ok == (error[0] == '\0'));
    check_set(set, secrets);
    key_set_release(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[256] = "", *copy = must_alloc(size);
    memcpy(copy, data, size);
    try_jwks(copy, size, true);
    try_jwks(copy, size, false);
    jwt_key_destroy(jwt_key_from_pem(copy, size, error, sizeof error));
    free(copy);
    return 0;
}
