#include "common/tls_tickets.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"

// A random key encrypts for an hour, and decrypts until the last ticket that it made is no longer valid.
#define ENCRYPTS_MS (UINT64_C(3600) * 1000)
#define DECRYPTS_MS (ENCRYPTS_MS + UINT64_C(1000) * TLS_TICKET_LIFETIME_S)
#define KEY_BYTES 64u

struct tls_tickets {
    pthread_mutex_t lock;
    bool is_random;
    struct tls_ticket_keys keys;
};

static_assert(DECRYPTS_MS / ENCRYPTS_MS < TLS_TICKET_KEYS_MAX, "all random keys have a place");
static_assert(KEY_BYTES ==
                  sizeof((struct tls_ticket_key *)0)->cipher + sizeof((struct tls_ticket_key *)0)->mac,
              "the bytes of a line are one key");

struct tls_tickets *tls_tickets_create(void)
{
    struct tls_tickets *t = calloc(1, sizeof *t);
    if (!t || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        return NULL;
    }
    t->is_random = true;
    return t;
}

void tls_tickets_destroy(struct tls_tickets *t)
{
    if (!t)
        return;
    (void)pthread_mutex_destroy(&t->lock); // fails for a locked one only
    explicit_bzero(t, sizeof *t);
    free(t);
}

static void key_from_bytes(const unsigned char bytes[KEY_BYTES], struct tls_ticket_key *key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256(bytes, KEY_BYTES, digest); // the answer is `digest`
    memcpy(key->name, digest, sizeof key->name);
    memcpy(key->cipher, bytes, sizeof key->cipher);
    memcpy(key->mac, bytes + sizeof key->cipher, sizeof key->mac);
}

static bool key_from_line(const char *line, struct tls_ticket_key *key)
{
    unsigned char bytes[KEY_BYTES];
    bool ok = strlen(line) == (size_t)2 * KEY_BYTES;
    for (size_t i = 0; ok && i < KEY_BYTES; i++) {
        int high = hex_value(line[2 * i]), low = hex_value(line[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        bytes[i] = (unsigned char)(ok ? high << 4 | low : 0);
    }
    if (ok)
        key_from_bytes(bytes, key);
    explicit_bzero(bytes, sizeof bytes);
    return ok;
}

// NULL, or what is wrong with a line.
static const char *take_line(char *line, bool whole, struct tls_ticket_keys *out)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return NULL;
    if (out->count == TLS_TICKET_KEYS_MAX)
        return "is one key too many: 16 are allowed";
    if (!whole || !key_from_line(line, &out->keys[out->count]))
        return "is no key of 128 hexadecimal digits; openssl rand -hex 64 makes one";
    out->count++;
    return NULL;
}

bool tls_ticket_keys_read(const char *file, struct tls_ticket_keys *out, char *error, size_t error_size)
{
    char line[256];
    const char *wrong = NULL;
    unsigned number = 0;
    *out = (struct tls_ticket_keys){0};
    FILE *f = fopen(file, "re");
    if (!f) {
        snprintf(error, error_size, "cannot read %s: %s", file, strerror(errno));
        return false;
    }
    while (!wrong && fgets(line, sizeof line, f)) {
        number++;
        wrong = take_line(line, strchr(line, '\n') || feof(f), out);
    }
    int failure = ferror(f) ? errno : 0;
    (void)fclose(f); // only read: nothing can be lost
    explicit_bzero(line, sizeof line);
    if (wrong)
        snprintf(error, error_size, "%s: line %u %s", file, number, wrong);
    else if (failure)
        snprintf(error, error_size, "cannot read %s: %s", file, strerror(failure));
    else if (out->count == 0)
        snprintf(error, error_size, "%s holds no key; openssl rand -hex 64 makes one", file);
    return !wrong && !failure && out->count > 0;
}

void tls_tickets_use(struct tls_tickets *t, const struct tls_ticket_keys *keys)
{
    bool is_random = !keys || keys->count == 0;
    (void)pthread_mutex_lock(&t->lock); // fails for a lock that is none
    if (!is_random)
        t->keys = *keys;
    else if (!t->is_random)
        explicit_bzero(&t->keys, sizeof t->keys);
    t->is_random = is_random;
    (void)pthread_mutex_unlock(&t->lock); // as above
}

// Drops random keys whose tickets are over, and makes a new one where the first has encrypted for long enough.
static bool refresh(struct tls_tickets *t, uint64_t now_ms)
{
    struct tls_ticket_keys *k = &t->keys;
    if (!t->is_random)
        return true;
    while (k->count > 0 && k->keys[k->count - 1].made_at_ms + DECRYPTS_MS <= now_ms)
        explicit_bzero(&k->keys[--k->count], sizeof k->keys[0]);
    if (k->count > 0 && now_ms < k->keys[0].made_at_ms + ENCRYPTS_MS)
        return true;
    unsigned char bytes[KEY_BYTES];
    if (RAND_priv_bytes(bytes, sizeof bytes) != 1)
        return false;
    assert(k->count < TLS_TICKET_KEYS_MAX);
    memmove(k->keys + 1, k->keys, k->count++ * sizeof k->keys[0]);
    key_from_bytes(bytes, &k->keys[0]);
    k->keys[0].made_at_ms = now_ms;
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

bool tls_tickets_first(struct tls_tickets *t, uint64_t now_ms, struct tls_ticket_key *out)
{
    (void)pthread_mutex_lock(&t->lock); // fails for a lock that is none
    bool ok = refresh(t, now_ms);
    if (ok)
        *out = t->keys.keys[0];
    (void)pthread_mutex_unlock(&t->lock); // as above
    return ok;
}

bool tls_tickets_find(struct tls_tickets *t, uint64_t now_ms, const unsigned char name[16],
                      struct tls_ticket_key *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&t->lock); // fails for a lock that is none
    (void)refresh(t, now_ms);           // where no new key can be made, old ones still decrypt
    for (size_t i = 0; !found && i < t->keys.count; i++) {
        found = memcmp(t->keys.keys[i].name, name, sizeof t->keys.keys[i].name) == 0;
        if (found)
            *out = t->keys.keys[i];
    }
    (void)pthread_mutex_unlock(&t->lock); // as above
    return found;
}
