#include "gateway/client/users.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/container_of.h"
#include "common/map.h"
#include "common/memory.h"

#define BUCKETS_MIN 64u // a power of two

struct user;

// A stream under one key. In two lists: those of the key, and those whose ids share a bucket.
struct place {
    TAILQ_ENTRY(place) in_user;
    struct place *next_in_bucket;
    struct user *user;
    uint64_t id : 63;
    uint64_t counts : 1; // for the cap
};

struct user {
    struct map_entry entry;               // in `by_key`
    TAILQ_HEAD(place_list, place) places; // oldest first; never empty
    size_t count, counted;                // places, and those that count for the cap
    char key[];
};

struct users {
    struct users_hooks hooks;
    pthread_mutex_t lock; // guards what follows
    struct map by_key;
    struct place **buckets; // by the low bits of the id, which count up
    size_t bucket_count, place_count, user_bytes;
};

bool users_key(enum users_kind kind, const char *text, char key[USERS_KEY_MAX + 1])
{
    static const char *const prefixes[] = {
        [USERS_SUBJECT] = "sub:", [USERS_TOKEN] = "jti:", [USERS_ADDRESS] = "ip:"};
    size_t prefix = strlen(prefixes[kind]), len = strlen(text);
    if (prefix + len > USERS_KEY_MAX)
        return false;
    memcpy(key, prefixes[kind], prefix);
    memcpy(key + prefix, text, len + 1);
    return true;
}

struct users *users_create(const struct users_hooks *hooks)
{
    struct users *u = calloc(1, sizeof *u);
    struct place **buckets = calloc(BUCKETS_MIN, sizeof *buckets);
    if (!u || !buckets || pthread_mutex_init(&u->lock, NULL) != 0) {
        free(buckets);
        free(u);
        return NULL;
    }
    u->hooks = *hooks;
    u->buckets = buckets;
    u->bucket_count = BUCKETS_MIN;
    map_init(&u->by_key);
    return u;
}

void users_destroy(struct users *u)
{
    if (!u)
        return;
    assert(u->place_count == 0 && u->by_key.count == 0);
    pthread_mutex_destroy(&u->lock);
    map_deinit(&u->by_key);
    free(u->buckets);
    free(u);
}

static struct place **bucket_of(const struct users *u, uint64_t id)
{
    return &u->buckets[id & (u->bucket_count - 1)];
}

// Without memory the buckets stay as few as they are, and the lists in them get longer.
static void resize_buckets(struct users *u, size_t count)
{
    struct place **buckets = calloc(count, sizeof *buckets), **old = u->buckets;
    size_t old_count = u->bucket_count;
    if (!buckets)
        return;
    u->buckets = buckets;
    u->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct place *p = old[i], *next; p; p = next) {
            struct place **to = bucket_of(u, p->id);
            next = p->next_in_bucket;
            p->next_in_bucket = *to;
            *to = p;
        }
    }
    free(old);
}

static size_t user_block(const struct user *user)
{
    return memory_block(sizeof *user + user->entry.len + 1);
}

static struct user *user_find(const struct users *u, const char *key)
{
    size_t len = strlen(key);
    struct map_entry *e = map_find(&u->by_key, map_hash(key, len), key, len);
    return e ? container_of(e, struct user, entry) : NULL;
}

static struct user *user_add(struct users *u, const char *key)
{
    size_t len = strlen(key);
    assert(len <= USERS_KEY_MAX);
    struct user *user = malloc(sizeof *user + len + 1);
    if (!user)
        return NULL;
    memcpy(user->key, key, len + 1);
    user->entry = (struct map_entry){.hash = map_hash(key, len), .key = user->key, .len = (uint32_t)len};
    TAILQ_INIT(&user->places);
    user->count = user->counted = 0;
    if (!map_insert(&u->by_key, &user->entry)) {
        free(user);
        return NULL;
    }
    u->user_bytes += user_block(user);
    return user;
}

static void user_free_if_empty(struct users *u, struct user *user)
{
    if (user->count > 0)
        return;
    u->user_bytes -= user_block(user);
    map_remove(&u->by_key, &user->entry);
    free(user);
}

// Takes the place that `*at` points to out of both lists.
static void place_remove(struct users *u, struct place **at)
{
    struct place *p = *at;
    struct user *user = p->user;
    *at = p->next_in_bucket;
    TAILQ_REMOVE(&user->places, p, in_user);
    user->count--;
    user->counted -= p->counts;
    u->place_count--;
    free(p);
    user_free_if_empty(u, user);
}

static void place_add(struct users *u, struct user *user, struct place *p)
{
    if (u->place_count >= u->bucket_count)
        resize_buckets(u, u->bucket_count * 2);
    struct place **bucket = bucket_of(u, p->id);
    p->next_in_bucket = *bucket;
    *bucket = p;
    p->user = user;
    TAILQ_INSERT_TAIL(&user->places, p, in_user);
    user->count++;
    user->counted += p->counts;
    u->place_count++;
}

// The oldest stream of `user` that counts is to end, and does not count any more. False where it could not be told.
static bool replace_oldest(struct users *u, struct user *user)
{
    struct place *oldest = TAILQ_FIRST(&user->places);
    while (!oldest->counts)
        oldest = TAILQ_NEXT(oldest, in_user);
    if (!u->hooks.end(u->hooks.ctx, oldest->id, CLOSE_REPLACED))
        return false;
    struct place **at = bucket_of(u, oldest->id);
    while (*at != oldest)
        at = &(*at)->next_in_bucket;
    place_remove(u, at);
    return true;
}

// Under the lock.
static enum users_verdict enter(struct users *u, const char *key, uint64_t id, const struct users_cap *cap)
{
    struct user *user = user_find(u, key);
    if (user && cap->max > 0 && !cap->replace_oldest && user->counted >= cap->max)
        return USERS_FULL;
    struct place *p = malloc(sizeof *p);
    if (!p)
        return USERS_NO_MEMORY;
    assert(id >> 63 == 0);
    *p = (struct place){.id = id & ~(UINT64_C(1) << 63), .counts = !cap->replace_oldest};
    if (!user)
        user = user_add(u, key);
    if (!user) {
        free(p);
        return USERS_NO_MEMORY;
    }
    place_add(u, user, p);
    return USERS_ENTERED;
}

enum users_verdict users_enter(struct users *u, const char *key, uint64_t id, const struct users_cap *cap)
{
    pthread_mutex_lock(&u->lock);
    enum users_verdict verdict = enter(u, key, id, cap);
    pthread_mutex_unlock(&u->lock);
    return verdict;
}

// Under the lock. False where the oldest could not be told.
static bool replace(struct users *u, struct place *p, uint64_t max)
{
    struct user *user = p->user;
    if (max > 0 && user->counted >= max && !replace_oldest(u, user))
        return false;
    p->counts = 1;
    user->counted++;
    return true;
}

bool users_replace(struct users *u, uint64_t id, uint64_t max)
{
    bool ok = true;
    pthread_mutex_lock(&u->lock);
    struct place *p = *bucket_of(u, id);
    while (p && (p->id != id || p->counts))
        p = p->next_in_bucket;
    if (p)
        ok = replace(u, p, max);
    pthread_mutex_unlock(&u->lock);
    return ok;
}

void users_leave(struct users *u, uint64_t id)
{
    pthread_mutex_lock(&u->lock);
    for (struct place **at = bucket_of(u, id); *at;) {
        if ((*at)->id == id)
            place_remove(u, at);
        else
            at = &(*at)->next_in_bucket;
    }
    if (u->bucket_count > BUCKETS_MIN && u->place_count * 8 < u->bucket_count)
        resize_buckets(u, u->bucket_count / 2);
    pthread_mutex_unlock(&u->lock);
}

size_t users_each(struct users *u, const char *key, void (*on_id)(void *ctx, uint64_t id), void *ctx)
{
    pthread_mutex_lock(&u->lock);
    const struct user *user = user_find(u, key);
    size_t count = user ? user->count : 0;
    for (const struct place *p = user ? TAILQ_FIRST(&user->places) : NULL; p; p = TAILQ_NEXT(p, in_user))
        on_id(ctx, p->id);
    pthread_mutex_unlock(&u->lock);
    return count;
}

size_t users_bytes(struct users *u)
{
    pthread_mutex_lock(&u->lock);
    size_t bytes = memory_block(sizeof *u) + u->bucket_count * sizeof *u->buckets + map_bytes(&u->by_key) +
                   u->user_bytes + u->place_count * memory_block(sizeof(struct place));
    pthread_mutex_unlock(&u->lock);
    return bytes;
}
