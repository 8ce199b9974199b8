#include "gateway/auth/authenticator.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/auth/jwt.h"
#include "gateway/auth/key_set.h"
#include "gateway/auth/token_claims.h"

struct authenticator {
    struct authenticator_settings settings;
    pthread_mutex_t lock; // guards `files`, the pointer, and `header`
    struct key_set *files;
    struct jwt_header header; // of the last accepted token that had another one than the token before
    struct jwks_fetch *fetch; // NULL: --jwks is no URL
};

static bool has_keys_for(const struct key_set *set, unsigned algorithms)
{
    for (size_t i = 0; i < set->count; i++)
        if (jwt_key_algorithms(set->keys[i]) & algorithms)
            return true;
    return false;
}

static bool read_files(struct key_set *set, const struct authenticator_settings *s, char *error,
                       size_t error_size)
{
    if (s->secret_file && !key_set_add_secret_file(set, "jwt-secret-file", s->secret_file, error, error_size))
        return false;
    for (size_t i = 0; i < s->key_file_count; i++)
        if (!key_set_add_pem_file(set, "jwt-key", s->key_files[i], error, error_size))
            return false;
    if (s->jwks && !jwks_is_url(s->jwks) && !key_set_add_jwks_file(set, "jwks", s->jwks, error, error_size))
        return false;
    if (jwks_is_url(s->jwks) || has_keys_for(set, s->algorithms))
        return true;
    snprintf(error, error_size, "--jwt-algorithms: none of the keys is for one of these");
    return false;
}

static struct key_set *load_files(const struct authenticator_settings *s, char *error, size_t error_size)
{
    struct key_set *set = key_set_create();
    if (!set)
        snprintf(error, error_size, "out of memory");
    else if (read_files(set, s, error, error_size))
        return set;
    key_set_release(set);
    return NULL;
}

struct authenticator *authenticator_create(const struct authenticator_settings *settings, char *error,
                                           size_t error_size)
{
    struct authenticator *a = calloc(1, sizeof *a);
    if (!a) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    a->settings = *settings;
    (void)pthread_mutex_init(&a->lock, NULL); // cannot fail without attributes (pthread_mutex_init(3))
    const char *url = jwks_is_url(settings->jwks) ? settings->jwks : NULL;
    a->files = load_files(settings, error, error_size);
    if (a->files && (!url || (a->fetch = jwks_fetch_create(url, settings->jwks_ca, error, error_size))))
        return a;
    authenticator_destroy(a);
    return NULL;
}

bool authenticator_start(struct authenticator *a)
{
    return !a->fetch || jwks_fetch_start(a->fetch);
}

void authenticator_destroy(struct authenticator *a)
{
    if (!a)
        return;
    jwks_fetch_destroy(a->fetch);
    key_set_release(a->files);
    (void)pthread_mutex_destroy(&a->lock); // nobody holds it
    free(a);
}

bool authenticator_reload(struct authenticator *a, char *error, size_t error_size)
{
    struct key_set *next = load_files(&a->settings, error, error_size);
    if (!next)
        return false;
    pthread_mutex_lock(&a->lock);
    struct key_set *old = a->files;
    a->files = next;
    pthread_mutex_unlock(&a->lock);
    key_set_release(old);
    if (a->fetch)
        jwks_fetch_refresh(a->fetch);
    return true;
}

// `known`: gets the header; may be NULL.
static struct key_set *current_files(struct authenticator *a, struct jwt_header *known)
{
    pthread_mutex_lock(&a->lock);
    struct key_set *set = key_set_retain(a->files);
    if (known)
        *known = a->header;
    pthread_mutex_unlock(&a->lock);
    return set;
}

// Of accepted tokens alone: whoever has no token cannot have the header of others forgotten.
static void keep_header(struct authenticator *a, const struct jwt *jwt, struct jwt_header *known)
{
    if (!jwt_header_keep(jwt, known))
        return;
    pthread_mutex_lock(&a->lock);
    a->header = *known;
    pthread_mutex_unlock(&a->lock);
}

// `*knows_id`: a key of the set has the token's id, or the token has none.
static enum token_verdict verify_with(const struct key_set *set, const struct jwt *jwt, bool *knows_id)
{
    const struct jwt_key *keys[KEY_SET_TRIES];
    size_t count = key_set_find(set, jwt->kid, jwt->algorithm, keys, knows_id);
    enum token_verdict verdict = TOKEN_SIGNATURE;
    for (size_t i = 0; i < count && verdict == TOKEN_SIGNATURE; i++)
        verdict = jwt_key_check(keys[i], jwt);
    *knows_id = *knows_id || jwt->kid[0] == '\0';
    return count > 0 ? verdict : *knows_id ? TOKEN_ALGORITHM : TOKEN_UNKNOWN_KEY;
}

static enum token_verdict verify_fetched(struct jwks_fetch *fetch, const struct jwt *jwt)
{
    bool knows_id = false;
    struct key_set *set = jwks_fetch_keys(fetch);
    enum token_verdict verdict = set ? verify_with(set, jwt, &knows_id) : TOKEN_UNKNOWN_KEY;
    key_set_release(set);
    if (verdict != TOKEN_ACCEPTED && verdict != TOKEN_NO_MEMORY && !knows_id &&
        jwks_fetch_await(fetch, jwt->kid))
        return TOKEN_KEY_AWAITED;
    return verdict;
}

static enum token_verdict verify(struct authenticator *a, const struct key_set *files, const struct jwt *jwt)
{
    bool knows_id, is_symmetric = JWT_BIT(jwt->algorithm) & JWT_SYMMETRIC;
    if (!(a->settings.algorithms & JWT_BIT(jwt->algorithm)))
        return TOKEN_ALGORITHM;
    enum token_verdict verdict = verify_with(files, jwt, &knows_id);
    // No fetched key is symmetric.
    return verdict == TOKEN_ACCEPTED || verdict == TOKEN_NO_MEMORY || !a->fetch || is_symmetric
               ? verdict
               : verify_fetched(a->fetch, jwt);
}

enum token_verdict authenticator_check(struct authenticator *a, const char *token, size_t len, int64_t now_s,
                                       struct principal **who)
{
    struct jwt jwt;
    struct jwt_header known;
    struct key_set *files = current_files(a, &known);
    enum token_verdict verdict = jwt_split(token, len, &known, &jwt);
    if (verdict == TOKEN_ACCEPTED)
        verdict = verify(a, files, &jwt);
    key_set_release(files);
    if (verdict != TOKEN_ACCEPTED)
        return verdict;
    keep_header(a, &jwt, &known);
    json_t *claims = jwt_claims(&jwt);
    if (!claims)
        return errno == ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED;
    verdict = token_claims_check(claims, &a->settings.policy, now_s, who);
    json_decref(claims);
    return verdict;
}

void authenticator_look(struct authenticator *a, struct authenticator_state *out)
{
    struct key_set *files = current_files(a, NULL);
    *out = (struct authenticator_state){
        .keys = files->count, .skipped = files->skipped, .fetches = a->fetch != NULL};
    key_set_release(files);
    if (!a->fetch)
        return;
    jwks_fetch_look(a->fetch, &out->fetch);
    out->keys += out->fetch.keys;
    out->skipped += out->fetch.skipped;
}
