// Counts a program's allocations and system calls from within (LD_PRELOAD), for tests that count work and not
// seconds. The counts stand in a file that the environment variable COUNT_CALLS names, which a test reads
// while the program runs: one record for each function, its name and how often it was called, by any thread,
// since the start.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct record {
    char name[24];
    _Atomic uint64_t calls;
};

#define FUNCTIONS(X)                                                                                         \
    X(malloc)                                                                                                \
    X(calloc)                                                                                                \
    X(realloc)                                                                                               \
    X(free)                                                                                                  \
    X(send)                                                                                                  \
    X(sendto)                                                                                                \
    X(sendmsg)                                                                                               \
    X(sendmmsg)                                                                                              \
    X(write)                                                                                                 \
    X(writev)                                                                                                \
    X(recv)                                                                                                  \
    X(recvmsg)                                                                                               \
    X(read)                                                                                                  \
    X(epoll_wait)                                                                                            \
    X(epoll_ctl)                                                                                             \
    X(accept4)                                                                                               \
    X(shutdown)                                                                                              \
    X(setsockopt)                                                                                            \
    X(ioctl)                                                                                                 \
    X(close)

enum function {
#define X(name) F_##name,
    FUNCTIONS(X)
#undef X
        F_COUNT
};

// Until the file is there, and where there is none, calls are counted here.
static struct record at_first[F_COUNT] = {
#define X(function) {.name = #function},
    FUNCTIONS(X)
#undef X
};
static struct record *_Atomic records = at_first;

static void count(enum function f)
{
    atomic_fetch_add_explicit(&atomic_load_explicit(&records, memory_order_relaxed)[f].calls, 1,
                              memory_order_relaxed);
}

__attribute__((constructor)) static void records_open(void)
{
    const char *path = getenv("COUNT_CALLS");
    if (!path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof at_first) == 0)
        at = mmap(NULL, sizeof at_first, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror(path);
        _exit(2);
    }
    close(fd);
    struct record *shared = at;
    for (int i = 0; i < F_COUNT; i++)
        shared[i] = at_first[i];
    atomic_store(&records, shared);
}

// dlsym allocates, so the allocator is called by its other name.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

void *malloc(size_t size)
{
    count(F_malloc);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count(F_calloc);
    return __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
    count(F_realloc);
    return __libc_realloc(block, size);
}

void free(void *block)
{
    count(F_free);
    __libc_free(block);
}

// The functions of sockets are declared here and not by their headers, whose parameters differ from one libc
// to the next.
struct msghdr;
struct mmsghdr;
struct iovec;
struct sockaddr;
struct epoll_event;

// RESULT name(PARAMETERS) that counts, and then calls the next one of that name with ARGUMENTS.
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
        count(F_##name);                                                                                     \
        return call arguments;                                                                               \
    }

PASS_ON(ssize_t, send, (int fd, const void *at, size_t len, int flags), (fd, at, len, flags))
PASS_ON(ssize_t, sendto,
        (int fd, const void *at, size_t len, int flags, const struct sockaddr *to, unsigned to_len),
        (fd, at, len, flags, to, to_len))
PASS_ON(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
PASS_ON(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned n, int flags), (fd, messages, n, flags))
PASS_ON(ssize_t, write, (int fd, const void *at, size_t len), (fd, at, len))
PASS_ON(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
PASS_ON(ssize_t, recv, (int fd, void *at, size_t len, int flags), (fd, at, len, flags))
PASS_ON(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
PASS_ON(ssize_t, read, (int fd, void *at, size_t len), (fd, at, len))
PASS_ON(int, epoll_wait, (int fd, struct epoll_event *events, int max, int timeout),
        (fd, events, max, timeout))
PASS_ON(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event))
PASS_ON(int, accept4, (int fd, struct sockaddr *from, unsigned *from_len, int flags),
        (fd, from, from_len, flags))
PASS_ON(int, shutdown, (int fd, int how), (fd, how))
PASS_ON(int, setsockopt, (int fd, int level, int name, const void *value, unsigned len),
        (fd, level, name, value, len))
PASS_ON(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument))
PASS_ON(int, close, (int fd), (fd))
