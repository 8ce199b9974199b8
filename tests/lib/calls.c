// Preloaded into the gateway: counts its calls, has the Nth call of one function fail (or a few in a row), or has every
// read and write of a socket move one byte. One table names the functions: CALLS.
//
// CALLS_FILE names a file that a test writes and reads while the program runs: struct control, in which all calls are
// counted, function by function. CALLS_FAIL names the function that fails ("malloc" stands for calloc and realloc, too,
// "eventfd_write" for a write that wakes a loop). Its calls count from the moment that `armed` is set, in all threads.
// CALLS_PLACE ("FROM TO", addresses in the program's file) names a function of the program: only calls that are made from
// within it, however deep, count then. CALLS_FILE.trace tells afterwards which callers the failed call had: a file and an
// offset in it. With CALLS_LEAKS, CALLS_FILE.leaks tells the blocks that the program itself allocated and has not freed at
// its exit: the caller, and bytes.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <openssl/err.h>
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
#include <sys/uio.h>
#include <unistd.h>

#define CALLERS_MAX 24
#define BLOCKS_MAX (1u << 18) // that are there at once, twice over: a power of two

// Functions of sockets and of OpenSSL are declared here and not by their headers, whose parameters differ from one
// version to the next.
struct sockaddr;
struct mmsghdr;
struct epoll_event;
struct ssl_st;
struct ssl_ctx_st;
struct msghdr { // of Linux
    void *name;
    unsigned name_len;
    struct iovec *parts;
    size_t part_count;
    void *control;
    size_t control_len;
    int flags;
};

// Name, result, parameters, arguments, result where it fails, what is done before where bytes trickle.
#define CALLS(X)                                                                                             \
    X(send, ssize_t, (int fd, const void *at, size_t len, int flags), (fd, at, len, flags), -1,              \
      len = trickle(fd, len))                                                                                \
    X(sendto, ssize_t,                                                                                       \
      (int fd, const void *at, size_t len, int flags, const struct sockaddr *to, unsigned to_len),           \
      (fd, at, len, flags, to, to_len), -1, (void)0)                                                         \
    X(sendmsg, ssize_t, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1,         \
      SPARE(struct msghdr);                                                                                  \
      message = trickle_message(fd, message, &spare))                                                        \
    X(sendmmsg, int, (int fd, struct mmsghdr *messages, unsigned n, int flags), (fd, messages, n, flags),    \
      -1, (void)0)                                                                                           \
    X(writev, ssize_t, (int fd, const struct iovec *parts, int n), (fd, parts, n), -1, SPARE(struct iovec);  \
      parts = trickle_parts(fd, parts, &n, &spare))                                                          \
    X(recv, ssize_t, (int fd, void *at, size_t len, int flags), (fd, at, len, flags), -1,                    \
      len = trickle(fd, len))                                                                                \
    X(recvmsg, ssize_t, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1, (void)0)      \
    X(read, ssize_t, (int fd, void *at, size_t len), (fd, at, len), -1, len = trickle(fd, len))              \
    X(epoll_ctl, int, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event), -1,      \
      (void)0)                                                                                               \
    X(epoll_wait, int, (int fd, struct epoll_event *events, int max, int timeout),                           \
      (fd, events, max, timeout), -1, (void)0)                                                               \
    X(accept4, int, (int fd, struct sockaddr *from, unsigned *from_len, int flags),                          \
      (fd, from, from_len, flags), -1, (void)0)                                                              \
    X(socket, int, (int domain, int type, int protocol), (domain, type, protocol), -1, (void)0)              \
    X(connect, int, (int fd, const struct sockaddr *to, unsigned to_len), (fd, to, to_len), -1, (void)0)     \
    X(getsockopt, int, (int fd, int level, int name, void *value, unsigned *len),                            \
      (fd, level, name, value, len), -1, (void)0)                                                            \
    X(setsockopt, int, (int fd, int level, int name, const void *value, unsigned len),                       \
      (fd, level, name, value, len), -1, (void)0)                                                            \
    X(shutdown, int, (int fd, int how), (fd, how), -1, (void)0)                                              \
    X(ioctl, int, (int fd, unsigned long request, void *argument), (fd, request, argument), -1, (void)0)     \
    X(close, int, (int fd), (fd), -1, (void)0)                                                               \
    X(eventfd, int, (unsigned number, int flags), (number, flags), -1, (void)0)                              \
    X(getrandom, ssize_t, (void *at, size_t len, unsigned flags), (at, len, flags), -1, (void)0)             \
    X(SSL_new, struct ssl_st *, (struct ssl_ctx_st * context), (context), NULL, (void)0)                     \
    X(SSL_free, void, (struct ssl_st * ssl), (ssl), , (void)0)                                               \
    X(SSL_do_handshake, int, (struct ssl_st * ssl), (ssl), ssl_error(), (void)0)                             \
    X(SSL_read_ex, int, (struct ssl_st * ssl, void *at, size_t len, size_t *n), (ssl, at, len, n),           \
      ssl_error(), len = trickle(-1, len))                                                                   \
    X(SSL_write_ex, int, (struct ssl_st * ssl, const void *at, size_t len, size_t *n), (ssl, at, len, n),    \
      ssl_error(), len = trickle(-1, len))                                                                   \

// Those that are written by hand, at the end.
#define OTHERS(X) X(malloc) X(calloc) X(realloc) X(free) X(write) X(open) X(pthread_create)

#define ALL(X) CALLS(X) OTHERS(X)

enum function {
#define X(function, ...) F_##function,
    ALL(X)
#undef X
        F_COUNT
};

struct record {
    char name[24];
    _Atomic uint64_t calls; // since the start
};

struct control {
    _Atomic uint64_t armed;
    _Atomic uint64_t nth;     // of the calls that is to fail; 0: none
    _Atomic uint64_t error;   // the errno
    _Atomic uint64_t calls;   // of what is to fail, so far
    _Atomic uint64_t times;   // calls in a row that fail, from `nth` on
    _Atomic uint64_t trickle; // 1: reads and writes of sockets move one byte, from `armed` on
    uint64_t unused[2];
    struct record records[F_COUNT];
};

// Until the file is there, and where there is none, calls are counted here.
static struct control at_first = {.records = {
#define X(function, ...) {.name = #function},
                                      ALL(X)
#undef X
                                  }};
static struct control *_Atomic control = &at_first;
static const char *failing = "";
static char path_of_trace[512], path_of_leaks[512];
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

// FILE OFFSET FUNCTION, of a return address.
static void tell_caller(int fd, void *caller, const char *what)
{
    char line[600];
    Dl_info info;
    if (!dladdr(caller, &info))
        return;
    size_t offset = (size_t)((char *)caller - (char *)info.dli_fbase);
    int len = snprintf(line, sizeof line, "%s 0x%zx %s%s\n", info.dli_fname, offset,
                       info.dli_sname ? info.dli_sname : "?", what);
    (void)syscall(SYS_write, fd, line, (size_t)len);
}

static int create(const char *path)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

// With nothing that allocates: the heap's lock may be held, and the next allocation would be counted.
static void trace(void)
{
    void *callers[CALLERS_MAX];
    int count = backtrace(callers, CALLERS_MAX);
    int fd = create(path_of_trace);
    for (int i = 0; fd >= 0 && i < count; i++)
        tell_caller(fd, callers[i], "");
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
}

// 0, or the errno with which a call of `name` fails now.
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
    if (call == first) {
        within = 1;
        trace();
        within = 0;
    }
    errno = (int)atomic_load(&c->error);
    return errno;
}

static void count(enum function f)
{
    atomic_fetch_add_explicit(&atomic_load_explicit(&control, memory_order_relaxed)->records[f].calls, 1,
                              memory_order_relaxed);
}

// ---- blocks that are there

static struct block {
    void *at, *caller;
    size_t size;
} blocks[BLOCKS_MAX];
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static int notes_blocks;

static size_t slot_of(const void *at)
{
    return ((uintptr_t)at >> 4) * 0x9E3779B97F4A7C15u >> 46;
}

static void *note(void *at, size_t size, void *caller)
{
    if (!notes_blocks || !at)
        return at;
    pthread_mutex_lock(&blocks_lock);
    size_t i = slot_of(at);
    while (blocks[i].at)
        i = (i + 1) % BLOCKS_MAX;
    blocks[i] = (struct block){at, caller, size};
    pthread_mutex_unlock(&blocks_lock);
    return at;
}

// Those behind it move up, so that no search ends too early.
static void forget(const void *at)
{
    if (!notes_blocks || !at)
        return;
    pthread_mutex_lock(&blocks_lock);
    size_t i = slot_of(at);
    while (blocks[i].at && blocks[i].at != at)
        i = (i + 1) % BLOCKS_MAX;
    for (size_t next = i; blocks[i].at;) {
        next = (next + 1) % BLOCKS_MAX;
        size_t from = blocks[next].at ? (next - slot_of(blocks[next].at)) % BLOCKS_MAX : 0;
        if (blocks[next].at && from < (next - i) % BLOCKS_MAX)
            continue;
        blocks[i] = blocks[next];
        i = next;
    }
    pthread_mutex_unlock(&blocks_lock);
}

__attribute__((destructor)) static void report(void)
{
    if (!notes_blocks)
        return;
    notes_blocks = 0;
    int fd = create(path_of_leaks);
    for (size_t i = 0; i < BLOCKS_MAX; i++) {
        Dl_info info;
        if (!blocks[i].at || !dladdr(blocks[i].caller, &info) || info.dli_fbase != (void *)base)
            continue;
        char size[40];
        snprintf(size, sizeof size, " %zu", blocks[i].size);
        tell_caller(fd, blocks[i].caller, size);
    }
    (void)syscall(SYS_close, fd);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CALLS_FILE"), *name = getenv("CALLS_FAIL"), *place = getenv("CALLS_PLACE");
    if (!path)
        return;
    void *first[1];
    (void)backtrace(first, 1); // what it loads is loaded here
    Dl_info program;
    if (dladdr((void *)getauxval(AT_ENTRY), &program))
        base = program.dli_fbase;
    if (place)
        (void)sscanf(place, "%zx %zx", &place_from, &place_to);
    snprintf(path_of_trace, sizeof path_of_trace, "%s.trace", path);
    snprintf(path_of_leaks, sizeof path_of_leaks, "%s.leaks", path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct control *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof *at) == 0)
        at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror(path);
        _exit(2);
    }
    (void)syscall(SYS_close, fd);
    failing = name ? name : "";
    for (int i = 0; i < F_COUNT; i++)
        at->records[i] = at_first.records[i];
    notes_blocks = getenv("CALLS_LEAKS") != NULL;
    atomic_store_explicit(&control, at, memory_order_release);
}

// ---- one byte at a time

static int is_socket(int fd)
{
    int type;
    unsigned len = sizeof type;
    return syscall(SYS_getsockopt, fd, 1 /* SOL_SOCKET */, 3 /* SO_TYPE */, &type, &len) == 0;
}

// How many of `len` bytes are moved; `fd` -1: of a socket for certain.
static size_t trickle(int fd, size_t len)
{
    struct control *c = atomic_load_explicit(&control, memory_order_relaxed);
    int error = errno;
    if (len > 1 && atomic_load_explicit(&c->trickle, memory_order_relaxed) &&
        atomic_load_explicit(&c->armed, memory_order_relaxed) && (fd < 0 || is_socket(fd)))
        len = 1;
    errno = error;
    return len;
}

static const struct iovec *trickle_parts(int fd, const struct iovec *parts, int *n, struct iovec *spare)
{
    int first = 0;
    while (first < *n && parts[first].iov_len == 0)
        first++;
    if (first == *n || trickle(fd, 2) > 1)
        return parts;
    *spare = (struct iovec){parts[first].iov_base, 1};
    *n = 1;
    return spare;
}

static struct iovec *spare_part(void)
{
    static _Thread_local struct iovec part;
    return &part;
}

static const struct msghdr *trickle_message(int fd, const struct msghdr *message, struct msghdr *spare)
{
    int n = (int)message->part_count;
    struct iovec *part = spare_part();
    if (trickle_parts(fd, message->parts, &n, part) != part)
        return message;
    *spare = *message;
    spare->parts = part;
    spare->part_count = 1;
    return spare;
}

// ---- the functions

// What SSL_get_error finds: out of memory, or an error of the socket.
static int ssl_error(void)
{
    void (*begin_error)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "ERR_new");
    void (*set_error)(int, int, const char *, ...) =
        (void (*)(int, int, const char *, ...))dlsym(RTLD_DEFAULT, "ERR_set_error");
    int error = errno;
    begin_error();
    set_error(error == ENOMEM ? ERR_LIB_SSL : ERR_LIB_SYS, error == ENOMEM ? ERR_R_MALLOC_FAILURE : error,
              NULL);
    errno = error;
    return 0;
}

#define SPARE(type) type spare

#define PASS_ON(name, result, parameters, arguments, failed, before)                                         \
    result name parameters;                                                                                  \
    result name parameters                                                                                   \
    {                                                                                                        \
        static result(*_Atomic next) parameters;                                                             \
        result(*call) parameters = atomic_load_explicit(&next, memory_order_relaxed);                        \
        if (!call) {                                                                                         \
            call = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                            \
            atomic_store_explicit(&next, call, memory_order_relaxed);                                        \
        }                                                                                                    \
        count(F_##name);                                                                                     \
        if (fails(#name))                                                                                    \
            return failed;                                                                                   \
        before;                                                                                              \
        return call arguments;                                                                               \
    }
CALLS(PASS_ON)

// dlsym allocates, so the allocator is called by its other name.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

void *malloc(size_t size)
{
    count(F_malloc);
    return fails("malloc") ? NULL : note(__libc_malloc(size), size, __builtin_return_address(0));
}

void *calloc(size_t n, size_t size)
{
    count(F_calloc);
    return fails("malloc") ? NULL : note(__libc_calloc(n, size), n * size, __builtin_return_address(0));
}

void *realloc(void *block, size_t size)
{
    count(F_realloc);
    if (fails("malloc"))
        return NULL;
    forget(block);
    return note(__libc_realloc(block, size), size, __builtin_return_address(0));
}

void free(void *block)
{
    count(F_free);
    forget(block);
    __libc_free(block);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    int (*call)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT,
                                                                                       "pthread_create");
    count(F_pthread_create);
    int error = fails("pthread_create");
    return error ? error : call(thread, how, run, arg);
}

static int open_at(const char *path, int flags, unsigned mode)
{
    count(F_open);
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

// A write that wakes a loop fails as "eventfd_write", any other as "write".
ssize_t write(int fd, const void *at, size_t len)
{
    count(F_write);
    int wakes = len == sizeof(uint64_t) && *failing && is_eventfd(fd);
    if (wakes ? fails("eventfd_write") : fails("write"))
        return -1;
    return syscall(SYS_write, fd, at, trickle(fd, len));
}
