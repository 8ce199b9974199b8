// Preloaded into the gateway: what code of an intruder would try, on a thread that has served clients. INTRUDER_FILE
// names a file of two bytes: a test writes the number of an attempt to the first, and finds the errno (0: it worked; 255:
// not tried yet) in the second.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct epoll_event;

static _Atomic unsigned char none[2], *file = none;

static long attempt(int number)
{
    static char *const arguments[] = {"true", NULL};
    char *page;
    switch (number) {
    case 1: // a program
        return syscall(SYS_execve, "/bin/true", arguments, NULL);
    case 2: // the memory of another process
        return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), NULL, NULL);
    case 3: // a file that is written
        return syscall(SYS_openat, AT_FDCWD, "/tmp/intruder", O_WRONLY | O_CREAT, 0600);
    case 4: // a process of its own
        return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    case 5: // the wire
        return syscall(SYS_socket, 17 /* AF_PACKET */, 3, 0);
    case 6: // code that it has written
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return page == MAP_FAILED ? -1 : syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
    case 7:
        return (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    case 8: // the end of another process
        return syscall(SYS_kill, getppid(), 0);
    case 9: // a listener
        return syscall(SYS_listen, 0, 1);
    case 10: // a file that goes
        return syscall(SYS_unlink, "/tmp/intruder");
    default:
        return 0;
    }
}

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("INTRUDER_FILE"), O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        _exit(2);
    close(fd);
    file = at;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    int (*next)(int, struct epoll_event *, int, int) =
        (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    int number = atomic_exchange(&file[0], 0);
    if (number > 0)
        atomic_store(&file[1], attempt(number) < 0 ? (unsigned char)errno : 0);
    return next(fd, events, max, timeout);
}
