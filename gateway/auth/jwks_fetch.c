#include "gateway/auth/jwks_fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "gateway/auth/https_get.h"

#define REFRESH_MIN_MS 60000u
#define REFRESH_MAX_MS 86400000u
#define REFRESH_MS 600000u // where the answer does not say
#define RETRY_MIN_MS 5000u
#define RETRY_MAX_MS 300000u
#define AWAITED_EVERY_MS 30000u
#define AWAITED_MAX 64
#define AWAITED_FORGET_MS 600000u

// An id that no key had. While it is remembered a fetch is made for it once.
struct awaited {
    uint64_t hash, since_ms;
};

struct jwks_fetch {
    const char *url, *ca;
    pthread_t thread;
    bool running;
    atomic_bool stopping;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t wake;
    struct key_set *keys;
    bool wanted;                        // some id is awaited
    uint64_t next_ms;                   // when the next fetch is due
    uint64_t answered_wanted_ms;        // when the last one for an awaited id began; 0: never
    uint64_t good_began_ms, good_at_ms; // of the last one that succeeded
    uint64_t fetched, failed;
    uint32_t retry_ms; // after the next failure
    struct awaited awaited[AWAITED_MAX];
    unsigned awaited_next;
};

bool jwks_is_url(const char *jwks)
{
    return jwks && strstr(jwks, "://") != NULL;
}

struct jwks_fetch *jwks_fetch_create(const char *url, const char *ca, char *error, size_t error_size)
{
    if (!https_get_check(url)) {
        snprintf(error, error_size, "--jwks: \"%s\" is neither a file nor an https:// URL", url);
        return NULL;
    }
    if (!https_get_is_built) {
        snprintf(
            error, error_size,
            "--jwks: this program was built without libcurl (make static) and fetches nothing; give a file");
        return NULL;
    }
    struct jwks_fetch *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;
    if (!f || pthread_condattr_init(&attr) != 0) {
        free(f);
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    *f = (struct jwks_fetch){.url = url, .ca = ca, .retry_ms = RETRY_MIN_MS};
    // None of these fails on Linux with valid arguments (pthread_cond_init(3), pthread_mutex_init(3)).
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&f->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&f->lock, NULL);
    return f;
}

static bool is_stopping(void *ctx)
{
    struct jwks_fetch *f = ctx;
    return atomic_load(&f->stopping);
}

uint32_t jwks_refresh_ms(int64_t max_age_s)
{
    if (max_age_s < 0)
        return REFRESH_MS;
    if (max_age_s > REFRESH_MAX_MS / 1000)
        return REFRESH_MAX_MS;
    return max_age_s < REFRESH_MIN_MS / 1000 ? REFRESH_MIN_MS : (uint32_t)max_age_s * 1000;
}

// Without the lock. NULL with the reason in `error`.
static struct key_set *fetch_keys(struct jwks_fetch *f, uint32_t *next_in_ms, char *error, size_t error_size)
{
    struct https_answer answer = {0};
    const struct https_get get = {
        .url = f->url, .ca = f->ca, .bytes_max = KEY_SET_BYTES, .is_stopping = is_stopping, .ctx = f};
    struct key_set *set = NULL;
    if (https_get(&get, &answer, error, error_size)) {
        set = key_set_create();
        // A symmetric key that anybody can fetch is no secret.
        if (!set)
            snprintf(error, error_size, "out of memory");
        else if (!key_set_add_jwks(set, answer.body.data, answer.body.len, false, error, error_size)) {
            key_set_release(set);
            set = NULL;
        }
        *next_in_ms = jwks_refresh_ms(answer.max_age_s);
    }
    buf_free(&answer.body);
    return set;
}

// With the lock. Takes `set`; NULL: the fetch failed.
static void take(struct jwks_fetch *f, struct key_set *set, uint64_t began_ms, uint32_t next_in_ms,
                 const char *error)
{
    uint64_t now = clock_monotonic_ms();
    if (!set) {
        f->failed++;
        if (f->next_ms != 0)
            f->next_ms = now + f->retry_ms;
        log_warn("auth", "--jwks: %s: %s; %s, and it is tried again in %u s", f->url, error,
                 f->keys ? "the keys that are there stay in use" : "no token can be checked yet",
                 f->retry_ms / 1000);
        f->retry_ms = f->retry_ms * 2 < RETRY_MAX_MS ? f->retry_ms * 2 : RETRY_MAX_MS;
        return;
    }
    if (f->fetched == 0 || f->retry_ms != RETRY_MIN_MS || f->keys->count != set->count)
        log_info("auth", "--jwks: %zu keys fetched from %s, %zu others cannot be used here", set->count,
                 f->url, set->skipped);
    key_set_release(f->keys);
    f->keys = set;
    f->fetched++;
    f->good_began_ms = began_ms;
    f->good_at_ms = now;
    f->retry_ms = RETRY_MIN_MS;
    if (f->next_ms != 0)
        f->next_ms = now + next_in_ms;
}

// With the lock.
static uint64_t due_at(const struct jwks_fetch *f)
{
    uint64_t wanted = f->answered_wanted_ms ? f->answered_wanted_ms + AWAITED_EVERY_MS : 0;
    return f->wanted && wanted < f->next_ms ? wanted : f->next_ms;
}

// With the lock, which is released meanwhile.
static void fetch_once(struct jwks_fetch *f)
{
    char error[256] = "";
    uint32_t next_in_ms = 0;
    uint64_t began = clock_monotonic_ms();
    if (f->wanted)
        f->answered_wanted_ms = began;
    f->wanted = false;
    f->next_ms = UINT64_MAX; // 0 after the fetch: jwks_fetch_refresh has asked for another one
    pthread_mutex_unlock(&f->lock);
    struct key_set *set = fetch_keys(f, &next_in_ms, error, sizeof error);
    pthread_mutex_lock(&f->lock);
    if (!set && is_stopping(f))
        return;
    take(f, set, began, next_in_ms, error);
}

static void *run(void *arg)
{
    struct jwks_fetch *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!is_stopping(f)) {
        uint64_t due = due_at(f);
        if (clock_monotonic_ms() >= due) {
            fetch_once(f);
            continue;
        }
        const struct timespec until = {.tv_sec = (time_t)(due / 1000),
                                       .tv_nsec = (long)(due % 1000) * 1000000};
        (void)pthread_cond_timedwait(&f->wake, &f->lock, &until); // whatever woke it, the time is looked at
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

bool jwks_fetch_start(struct jwks_fetch *f)
{
    f->running = thread_start(&f->thread, "jwks", run, f);
    return f->running;
}

void jwks_fetch_destroy(struct jwks_fetch *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    atomic_store(&f->stopping, true);
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    if (f->running)
        (void)pthread_join(f->thread, NULL); // it is there, and not this one
    key_set_release(f->keys);
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

struct key_set *jwks_fetch_keys(struct jwks_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    struct key_set *set = f->keys ? key_set_retain(f->keys) : NULL;
    pthread_mutex_unlock(&f->lock);
    return set;
}

void jwks_fetch_refresh(struct jwks_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->next_ms = 0;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

// With the lock. Where there is no room the oldest is forgotten: it would be waited for anew, never refused too early.
static struct awaited *find_awaited(struct jwks_fetch *f, uint64_t hash, uint64_t now)
{
    for (size_t i = 0; i < AWAITED_MAX; i++) {
        struct awaited *a = &f->awaited[i];
        if (a->since_ms && a->hash == hash && now - a->since_ms < AWAITED_FORGET_MS)
            return a;
    }
    return NULL;
}

bool jwks_fetch_await(struct jwks_fetch *f, const char *kid)
{
    uint64_t hash = XXH3_64bits(kid, strlen(kid)), now = clock_monotonic_ms();
    pthread_mutex_lock(&f->lock);
    const struct awaited *found = find_awaited(f, hash, now);
    bool waits = !found || f->good_began_ms < found->since_ms;
    if (!found) {
        f->awaited[f->awaited_next++ % AWAITED_MAX] = (struct awaited){.hash = hash, .since_ms = now};
        f->wanted = true;
        pthread_cond_signal(&f->wake);
    }
    pthread_mutex_unlock(&f->lock);
    return waits;
}

void jwks_fetch_look(struct jwks_fetch *f, struct jwks_fetch_state *out)
{
    pthread_mutex_lock(&f->lock);
    *out = (struct jwks_fetch_state){.has_fetched = f->keys != NULL, .ok = f->fetched, .failed = f->failed};
    if (f->keys) {
        out->keys = f->keys->count;
        out->skipped = f->keys->skipped;
        out->age_s = (clock_monotonic_ms() - f->good_at_ms) / 1000;
    }
    pthread_mutex_unlock(&f->lock);
}
