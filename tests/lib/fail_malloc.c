// Preloaded into the gateway: the allocation number FAIL_MALLOC fails (0: none). At the exit the file FAIL_REPORT says
// how many there were, and how many bytes allocated by the program itself were not given back.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 100000

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *block);

static struct {
    void *at, *caller;
    size_t size;
} blocks[BLOCKS_MAX];
static size_t block_count;
static unsigned long calls, failing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int fails(void)
{
    pthread_mutex_lock(&lock);
    int now = ++calls == failing;
    pthread_mutex_unlock(&lock);
    if (now)
        errno = ENOMEM;
    return now;
}

static void *note(void *at, size_t size, void *caller)
{
    pthread_mutex_lock(&lock);
    if (at && block_count < BLOCKS_MAX) {
        blocks[block_count].at = at;
        blocks[block_count].caller = caller;
        blocks[block_count++].size = size;
    }
    pthread_mutex_unlock(&lock);
    return at;
}

static void forget(const void *at)
{
    pthread_mutex_lock(&lock);
    size_t i = block_count;
    while (i > 0 && blocks[i - 1].at != at)
        i--;
    if (i > 0)
        blocks[i - 1] = blocks[--block_count];
    pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
    return fails() ? NULL : note(__libc_malloc(size), size, __builtin_return_address(0));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : note(__libc_calloc(count, size), count * size, __builtin_return_address(0));
}

void *realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    forget(old);
    return note(__libc_realloc(old, size), size, __builtin_return_address(0));
}

void free(void *block)
{
    if (block)
        forget(block);
    __libc_free(block);
}

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("FAIL_MALLOC");
    failing = number ? strtoul(number, NULL, 10) : 0;
}

__attribute__((destructor)) static void report(void)
{
    failing = 0;
    size_t left = 0;
    Dl_info info;
    for (size_t i = 0; i < block_count; i++)
        if (dladdr(blocks[i].caller, &info) && strstr(info.dli_fname, "sse-gateway"))
            left += blocks[i].size;
    unsigned long made = calls;
    FILE *f = fopen(getenv("FAIL_REPORT"), "w");
    if (f) {
        fprintf(f, "%lu %zu\n", made, left);
        fclose(f);
    }
}
