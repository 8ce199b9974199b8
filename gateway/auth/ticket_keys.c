#include "gateway/auth/ticket_keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEYS_MAX 8u
#define KEY_MAX 512u // bytes of a line

struct key_list {
    struct ticket_key keys[KEYS_MAX];
    char bytes[KEYS_MAX][KEY_MAX + 2]; // with the end of the line, and the end mark
    size_t count;
};

struct ticket_keys {
    const char *file;
    pthread_rwlock_t lock; // guards `list`
    struct key_list *list;
};

static bool fail(const char *file, const char *why, char *error, size_t error_size)
{
    snprintf(error, error_size, "--ticket-key-file: %s: %s", file, why);
    return false;
}

// Blank lines, and those that begin with '#', are no keys.
static bool read_lines(FILE *f, const char *file, struct key_list *list, char *error, size_t error_size)
{
    char line[KEY_MAX + 2];
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, "\r\n");
        if (line[len] == '\0' && !feof(f))
            return fail(file, "a line has more than 512 bytes", error, error_size);
        if (len == 0 || line[0] == '#')
            continue;
        if (len < TICKET_KEY_MIN)
            return fail(file, "a key has less than 32 bytes (openssl rand -base64 32 makes one)", error,
                        error_size);
        if (list->count == KEYS_MAX)
            return fail(file, "there are more than 8 keys", error, error_size);
        memcpy(list->bytes[list->count], line, len);
        list->keys[list->count] = (struct ticket_key){list->bytes[list->count], len};
        list->count++;
    }
    if (ferror(f))
        return fail(file, strerror(errno), error, error_size);
    return list->count > 0 || fail(file, "there is no key in it", error, error_size);
}

static void list_free(struct key_list *list)
{
    if (list)
        explicit_bzero(list, sizeof *list);
    free(list);
}

static struct key_list *read_file(const char *file, char *error, size_t error_size)
{
    FILE *f = fopen(file, "re");
    struct key_list *list = f ? calloc(1, sizeof *list) : NULL;
    if (!list)
        (void)fail(file, strerror(errno), error, error_size);
    bool read = list && read_lines(f, file, list, error, error_size);
    if (f)
        (void)fclose(f); // it was only read
    if (read)
        return list;
    list_free(list);
    return NULL;
}

struct ticket_keys *ticket_keys_create(const char *file, char *error, size_t error_size)
{
    struct ticket_keys *k = calloc(1, sizeof *k);
    if (!k || pthread_rwlock_init(&k->lock, NULL) != 0) {
        free(k);
        (void)fail(file, "out of memory", error, error_size);
        return NULL;
    }
    k->file = file;
    k->list = read_file(file, error, error_size);
    if (k->list)
        return k;
    ticket_keys_destroy(k);
    return NULL;
}

void ticket_keys_destroy(struct ticket_keys *k)
{
    if (!k)
        return;
    list_free(k->list);
    pthread_rwlock_destroy(&k->lock);
    free(k);
}

bool ticket_keys_reload(struct ticket_keys *k, char *error, size_t error_size)
{
    struct key_list *list = read_file(k->file, error, error_size);
    if (!list)
        return false;
    pthread_rwlock_wrlock(&k->lock);
    struct key_list *old = k->list;
    k->list = list;
    pthread_rwlock_unlock(&k->lock);
    list_free(old);
    return true;
}

size_t ticket_keys_sign(struct ticket_keys *k, const struct principal *who, int64_t now_s, char *out)
{
    unsigned char nonce[TICKET_NONCE];
    if (getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce)
        return 0;
    pthread_rwlock_rdlock(&k->lock);
    size_t len = ticket_write(&k->list->keys[0], who, nonce, now_s, out);
    pthread_rwlock_unlock(&k->lock);
    return len;
}

enum ticket_verdict ticket_keys_read(struct ticket_keys *k, const char *text, size_t len, int64_t now_s,
                                     struct ticket *out)
{
    pthread_rwlock_rdlock(&k->lock);
    enum ticket_verdict verdict = ticket_read(k->list->keys, k->list->count, text, len, now_s, out);
    pthread_rwlock_unlock(&k->lock);
    return verdict;
}
