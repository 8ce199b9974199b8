// Tells who the bearer of a token is: the configured keys, and what tokens must say. Its functions may be called by any
// thread, but for create, start, reload and destroy, which are the main thread's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/auth/jwks_fetch.h"
#include "gateway/auth/jwt_algorithm.h"
#include "gateway/auth/principal.h"
#include "gateway/auth/token_policy.h"
#include "gateway/auth/token_verdict.h"

struct authenticator;

struct authenticator_settings {
    const char *secret_file;      // --jwt-secret-file, or NULL
    const char *const *key_files; // --jwt-key
    size_t key_file_count;
    const char *jwks;    // --jwks: a file, or an https URL; or NULL
    const char *jwks_ca; // --jwks-ca, or NULL: what the system trusts
    unsigned algorithms; // that are allowed at all
    struct token_policy policy;
};

// Reads the files; an https URL is only checked. `settings` is copied, what it points to is borrowed until the end.
// NULL with one line in `error`, which names the option.
struct authenticator *authenticator_create(const struct authenticator_settings *settings, char *error,
                                           size_t error_size);
// Begins to fetch the keys of an https URL, on a thread of its own. False where that cannot be started.
bool authenticator_start(struct authenticator *a);
void authenticator_destroy(struct authenticator *a); // may be NULL

// Reads the files anew, and asks for those of an https URL. On failure false with one line in `error`, and all keys
// stay as they are. Streams that a removed key has opened go on until their token expires.
bool authenticator_reload(struct authenticator *a, char *error, size_t error_size);

// ACCEPTED with `*who` (the caller's), or why not. `now_s`: Unix time.
enum token_verdict authenticator_check(struct authenticator *a, const char *token, size_t len, int64_t now_s,
                                       struct principal **who);

// For metrics and logs.
struct authenticator_state {
    size_t keys;    // in use
    size_t skipped; // members of key sets that cannot be used
    bool fetches;   // --jwks is a URL
    struct jwks_fetch_state fetch;
};
void authenticator_look(struct authenticator *a, struct authenticator_state *out);
