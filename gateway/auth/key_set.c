#include "gateway/auth/key_set.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret_file.h"
#include "gateway/auth/json_strict.h"

#define REASON_MAX 160
#define DEPTH_MAX 8

struct key_set *key_set_create(void)
{
    struct key_set *set = calloc(1, sizeof *set);
    if (set)
        atomic_init(&set->refs, 1);
    return set;
}

struct key_set *key_set_retain(struct key_set *set)
{
    unsigned before = atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before; // for the assertion alone
    return set;
}

void key_set_release(struct key_set *set)
{
    if (!set)
        return;
    unsigned before = atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        jwt_key_destroy(set->keys[i]);
    free(set);
}

bool key_set_add(struct key_set *set, struct jwt_key *key)
{
    if (!key || set->count == KEY_SET_MAX) {
        jwt_key_destroy(key);
        return false;
    }
    set->keys[set->count++] = key;
    return true;
}

bool key_set_add_jwks(struct key_set *set, const char *text, size_t len, bool secrets, char *error,
                      size_t error_size)
{
    json_t *object = json_strict_object(text, len, DEPTH_MAX);
    bool no_memory = !object && errno == ENOMEM;
    const json_t *members = json_object_get(object, "keys");
    size_t before = set->count, count = json_array_size(members);
    char reason[REASON_MAX] = "it is empty";
    for (size_t i = 0; i < count; i++)
        if (!key_set_add(set, jwt_key_from_jwk(json_array_get(members, i), secrets, reason, sizeof reason)))
            set->skipped++;
    bool is_set = json_is_array(members);
    json_decref(object);
    if (no_memory)
        snprintf(error, error_size, "out of memory");
    else if (!is_set)
        snprintf(error, error_size, "it is no JWK Set: {\"keys\":[..]}, strict JSON");
    else if (set->count == before)
        snprintf(error, error_size, "no key of its %zu can be used; the last one: %s", count, reason);
    return set->count > before;
}

// Returns what the caller frees; NULL with one line in `error`.
static char *read_file(const char *option, const char *file, size_t *len, char *error, size_t error_size)
{
    FILE *f = fopen(file, "re");
    if (!f) {
        snprintf(error, error_size, "--%s: cannot read %s: %s", option, file, strerror(errno));
        return NULL;
    }
    char *text = malloc(KEY_SET_BYTES + 1);
    *len = text ? fread(text, 1, KEY_SET_BYTES + 1, f) : 0;
    bool failed = ferror(f) != 0;
    (void)fclose(f); // only read: nothing can be lost
    if (text && !failed && *len <= KEY_SET_BYTES)
        return text;
    if (!text)
        snprintf(error, error_size, "out of memory");
    else
        snprintf(error, error_size, "--%s: %s cannot be read, or has more than %u bytes", option, file,
                 KEY_SET_BYTES);
    free(text);
    return NULL;
}

static bool refuse(const char *option, const char *file, const char *reason, char *error, size_t error_size)
{
    snprintf(error, error_size, "--%s: %s cannot be used: %s", option, file, reason);
    return false;
}

bool key_set_add_secret_file(struct key_set *set, const char *option, const char *file, char *error,
                             size_t error_size)
{
    char *secret = NULL, reason[REASON_MAX] = "there are too many keys";
    if (!secret_file_read(option, file, &secret, error, error_size))
        return false;
    size_t len = strlen(secret);
    bool added = key_set_add(set, jwt_key_from_secret(secret, len, reason, sizeof reason));
    explicit_bzero(secret, len);
    free(secret);
    return added || refuse(option, file, reason, error, error_size);
}

bool key_set_add_pem_file(struct key_set *set, const char *option, const char *file, char *error,
                          size_t error_size)
{
    char reason[REASON_MAX] = "there are too many keys";
    size_t len;
    char *text = read_file(option, file, &len, error, error_size);
    if (!text)
        return false;
    bool added = key_set_add(set, jwt_key_from_pem(text, len, reason, sizeof reason));
    explicit_bzero(text, len); // it may be a private key, by mistake
    free(text);
    return added || refuse(option, file, reason, error, error_size);
}

bool key_set_add_jwks_file(struct key_set *set, const char *option, const char *file, char *error,
                           size_t error_size)
{
    char reason[REASON_MAX + 64] = "";
    size_t len;
    char *text = read_file(option, file, &len, error, error_size);
    if (!text)
        return false;
    bool added = key_set_add_jwks(set, text, len, true, reason, sizeof reason);
    explicit_bzero(text, len);
    free(text);
    return added || refuse(option, file, reason, error, error_size);
}

size_t key_set_find(const struct key_set *set, const char *kid, enum jwt_algorithm algorithm,
                    const struct jwt_key *keys[KEY_SET_TRIES], bool *has_id)
{
    size_t found = 0;
    *has_id = false;
    for (size_t i = 0; i < set->count; i++) {
        const char *id = jwt_key_id(set->keys[i]);
        bool same = id && strcmp(id, kid) == 0;
        *has_id = *has_id || same;
        if ((same || !id || kid[0] == '\0') && (jwt_key_algorithms(set->keys[i]) & JWT_BIT(algorithm)) &&
            found < KEY_SET_TRIES)
            keys[found++] = set->keys[i];
    }
    return found;
}
