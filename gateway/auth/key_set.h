// Keys of one source, or of several files. Immutable once it is shared; references are counted, by any thread.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "gateway/auth/jwt_key.h"

#define KEY_SET_MAX 256       // keys; more are refused
#define KEY_SET_BYTES 262144u // of a file or an answer
#define KEY_SET_TRIES 4       // keys that one token is tried with

struct key_set {
    _Atomic unsigned refs;
    size_t count, skipped; // keys; members of key sets that could not be used
    struct jwt_key *keys[KEY_SET_MAX];
};

// Empty, with one reference. NULL when out of memory.
struct key_set *key_set_create(void);
struct key_set *key_set_retain(struct key_set *set);
void key_set_release(struct key_set *set); // may be NULL

// Takes `key`, also where it fails: there are too many, or `key` is NULL.
bool key_set_add(struct key_set *set, struct jwt_key *key);
// Adds the keys of a JWK Set (RFC 7517 section 5). Members that cannot be used are skipped and counted: sets of others
// hold keys for other uses, too. False with one line in `error` where it is no such set, or no key of it can be used.
bool key_set_add_jwks(struct key_set *set, const char *text, size_t len, bool secrets, char *error,
                      size_t error_size);

// Each adds what `file` has. False with one line in `error` that names `option` (without its dashes) and the file.
bool key_set_add_secret_file(struct key_set *set, const char *option, const char *file, char *error,
                             size_t error_size);
bool key_set_add_pem_file(struct key_set *set, const char *option, const char *file, char *error,
                          size_t error_size);
bool key_set_add_jwks_file(struct key_set *set, const char *option, const char *file, char *error,
                           size_t error_size);

// Fills `keys` with those that a token with `kid` ("" for none) and `algorithm` may be signed by, at most
// KEY_SET_TRIES: keys with that id, and keys without any; for a token without an id, all. Returns how many. `*has_id`:
// some key has the id, of whatever algorithm.
size_t key_set_find(const struct key_set *set, const char *kid, enum jwt_algorithm algorithm,
                    const struct jwt_key *keys[KEY_SET_TRIES], bool *has_id);
