#include "publisher-cli/resolve.h"

#include "common/redis_url.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

// Shared by the thread that asks and the one that waits. The last of the two frees it.
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done, is_abandoned;
    int failed, reason; // of getaddrinfo, and errno
    struct addrinfo *found;
    char host[REDIS_HOST_SIZE], service[8];
};

static void lookup_destroy(struct lookup *lookup)
{
    if (lookup->found)
        freeaddrinfo(lookup->found);
    (void)pthread_cond_destroy(&lookup->changed); // no thread waits for it or holds the lock
    (void)pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static struct lookup *lookup_create(const char *host, const char *service)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    pthread_condattr_t monotonic;
    if (lookup == NULL)
        return NULL;
    // With glibc none of these fails.
    (void)pthread_mutex_init(&lookup->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lookup->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    snprintf(lookup->service, sizeof lookup->service, "%s", service);
    return lookup;
}

static void *lookup_run(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(lookup->host, lookup->service, &hints, &found), reason = errno;
    pthread_mutex_lock(&lookup->lock);
    bool is_abandoned = lookup->is_abandoned;
    lookup->is_done = true;
    lookup->failed = failed;
    lookup->reason = reason;
    lookup->found = failed ? NULL : found;
    pthread_cond_signal(&lookup->changed);
    pthread_mutex_unlock(&lookup->lock);
    if (is_abandoned)
        lookup_destroy(lookup);
    return NULL;
}

static struct timespec after(uint64_t ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); // that clock is always there
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

// True once the look-up is done. Else its thread owns it from now on.
static bool lookup_wait(struct lookup *lookup, uint64_t timeout_ms)
{
    const struct timespec deadline = after(timeout_ms);
    int status = 0;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->is_done && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&lookup->changed, &lookup->lock, &deadline);
    bool is_done = lookup->is_done;
    lookup->is_abandoned = !is_done;
    pthread_mutex_unlock(&lookup->lock);
    return is_done;
}

static bool lookup_start(struct lookup *lookup, struct failure *failure)
{
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, lookup_run, lookup);
    if (failed)
        return failure_set(failure, "no thread to look it up: %s", strerror(failed));
    (void)pthread_detach(thread); // cannot fail for a new thread
    return true;
}

static struct addrinfo *look_up(const char *host, const char *service, uint64_t timeout_ms,
                                struct failure *failure)
{
    struct lookup *lookup = lookup_create(host, service);
    struct addrinfo *found = NULL;
    if (lookup == NULL) {
        (void)failure_out_of_memory(failure);
        return NULL;
    }
    if (!lookup_start(lookup, failure)) {
        lookup_destroy(lookup);
        return NULL;
    }
    if (!lookup_wait(lookup, timeout_ms)) {
        (void)failure_set(failure, "its name was not resolved within %llu ms",
                          (unsigned long long)timeout_ms);
        return NULL;
    }
    if (lookup->failed)
        (void)failure_set(failure, "%s",
                          lookup->failed == EAI_SYSTEM ? strerror(lookup->reason)
                                                       : gai_strerror(lookup->failed));
    found = lookup->found;
    lookup->found = NULL;
    lookup_destroy(lookup);
    return found;
}

struct addrinfo *resolve(const char *host, unsigned short port, uint64_t timeout_ms, struct failure *failure)
{
    struct addrinfo numeric = hints, *found;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    numeric.ai_flags |= AI_NUMERICHOST;
    // An address needs neither a wait nor a thread.
    if (getaddrinfo(host, service, &numeric, &found) == 0)
        return found;
    return look_up(host, service, timeout_ms, failure);
}
