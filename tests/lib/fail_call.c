// Preloaded into the gateway: one call of one function fails (or a few in a row), and everything else works. FAIL_CALL
// names the function ("malloc" stands for calloc and realloc, too, "eventfd_write" for a write that wakes a loop).
// FAIL_CONTROL names a file that a test writes and reads while the program runs: struct control. Calls are counted from
// the moment that `armed` is set, by all threads. FAIL_PLACE ("FROM TO", addresses in the program's file) names a
// function of the program: only calls that are made from within it, however deep, count then. FAIL_CONTROL.trace tells
// afterwards which callers the failed call had: a file and an offset in it.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLERS_MAX 24

struct control {
    _Atomic uint64_t armed;
    _Atomic uint64_t nth;   // of the calls that is to fail; 0: none
    _Atomic uint64_t error; // the errno
    _Atomic uint64_t calls; // so far
    _Atomic uint64_t times; // calls in a row that fail, from `nth` on
};

static struct control nobody, *_Atomic control = &nobody;
static const char *failing = "";
static char trace_path[512];
static size_t place_from, place_to;
static const char *base; // where the program is in memory
static _Thread_local int within;

static int is_in_place(void)
{
    void *callers[CALLERS_MAX];
    int count = backtrace(callers, CALLERS_MAX), found = 0;
    for (int i = 0; i < count && !found; i++) {
        size_t offset = (size_t)((const char *)callers[i] - base);
        found =
            offset > place_from && offset <= place_to; // a return address may be the one behind the function
    }
    return found;
}

// With nothing that allocates: the heap's lock may be held, and the next allocation would be counted.
static void trace(void)
{
    void *callers[CALLERS_MAX];
    char line[600];
    Dl_info info;
    int count = backtrace(callers, CALLERS_MAX);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, trace_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; fd >= 0 && i < count; i++) {
        if (!dladdr(callers[i], &info))
            continue;
        size_t offset = (size_t)((char *)callers[i] - (char *)info.dli_fbase);
        int len = snprintf(line, sizeof line, "%s 0x%zx %s\n", info.dli_fname, offset,
                           info.dli_sname ? info.dli_sname : "?");
        (void)syscall(SYS_write, fd, line, (size_t)len);
    }
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
}

static int fails(const char *name)
{
    struct control *c = atomic_load_explicit(&control, memory_order_acquire);
    if (!atomic_load_explicit(&c->armed, memory_order_relaxed) || within || strcmp(name, failing) != 0)
        return 0;
    within = 1;
    int counts = place_to == 0 || is_in_place();
    within = 0;
    if (!counts)
        return 0;
    uint64_t call = atomic_fetch_add(&c->calls, 1) + 1, first = atomic_load(&c->nth);
    if (first == 0 || call < first || call >= first + atomic_load(&c->times))
        return 0;
    errno = (int)atomic_load(&c->error);
    if (call > first)
        return errno;
    within = 1;
    trace();
    within = 0;
    errno = (int)atomic_load(&c->error);
    return errno;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAIL_CONTROL"), *name = getenv("FAIL_CALL");
    if (!path || !name)
        return;
    void *first[1];
    (void)backtrace(first, 1); // what it loads is loaded here
    const char *place = getenv("FAIL_PLACE");
    Dl_info program;
    if (place && dladdr((void *)getauxval(AT_ENTRY), &program)) {
        base = program.dli_fbase;
        (void)sscanf(place, "%zx %zx", &place_from, &place_to);
    }
    snprintf(trace_path, sizeof trace_path, "%s.trace", path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror(path);
        _exit(2);
    }
    (void)syscall(SYS_close, fd);
    failing = name;
    atomic_store_explicit(&control, at, memory_order_release);
}

// dlsym allocates, so the allocator is called by its other name.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

void *malloc(size_t size)
{
    return fails("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails("malloc") ? NULL : __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
    return fails("malloc") ? NULL : __libc_realloc(block, size);
}

// The functions of sockets are declared here and not by their headers, whose parameters differ from one libc to the
// next.
struct msghdr;
struct sockaddr;
struct epoll_event;

// RESULT name(PARAMETERS) that fails, or calls the next one of that name with ARGUMENTS.
#define PASS_ON(result, name, parameters, arguments)                                                         \
    result name parameters;                                                                                  \
    result name parameters                                                                                   \
    {                                                                                                        \
        static result(*_Atomic next) parameters;                                                             \
        result(*call) parameters = atomic_load_explicit(&next, memory_order_relaxed);                        \
        if (!call) {                                                                                         \
            call = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                            \
            atomic_store_explicit(&next, call, memory_order_relaxed);                                        \
        }                                                                                                    \
        return fails(#name) ? -1 : call arguments;                                                           \
    }

PASS_ON(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event))
PASS_ON(int, epoll_wait, (int fd, struct epoll_event *events, int max, int timeout),
        (fd, events, max, timeout))
PASS_ON(int, accept4, (int fd, struct sockaddr *from, unsigned *from_len, int flags),
        (fd, from, from_len, flags))
PASS_ON(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
PASS_ON(int, connect, (int fd, const struct sockaddr *to, unsigned to_len), (fd, to, to_len))
PASS_ON(ssize_t, recv, (int fd, void *at, size_t len, int flags), (fd, at, len, flags))
PASS_ON(ssize_t, send, (int fd, const void *at, size_t len, int flags), (fd, at, len, flags))
PASS_ON(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
PASS_ON(int, getsockopt, (int fd, int level, int name, void *value, unsigned *len),
        (fd, level, name, value, len))
PASS_ON(int, setsockopt, (int fd, int level, int name, const void *value, unsigned len),
        (fd, level, name, value, len))
PASS_ON(int, shutdown, (int fd, int how), (fd, how))
PASS_ON(ssize_t, getrandom, (void *at, size_t len, unsigned flags), (at, len, flags))

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    int (*call)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT,
                                                                                       "pthread_create");
    int error = fails("pthread_create");
    return error ? error : call(thread, how, run, arg);
}

static int open_at(const char *path, int flags, unsigned mode)
{
    return fails("open") ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    return open_at(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    return open_at(path, flags, mode);
}

static int is_eventfd(int fd)
{
    char link[40], to[40] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, to, sizeof to - 1) > 0 && strcmp(to, "anon_inode:[eventfd]") == 0;
}

ssize_t write(int fd, const void *at, size_t len)
{
    if (len == sizeof(uint64_t) && strcmp(failing, "eventfd_write") == 0 && is_eventfd(fd) &&
        fails("eventfd_write"))
        return -1;
    return syscall(SYS_write, fd, at, len);
}
