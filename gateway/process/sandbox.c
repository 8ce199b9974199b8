#include "gateway/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Whatever their arguments are. Names that an architecture does not have are skipped.
static const int allowed[] = {
    // loops, sockets
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6), SCMP_SYS(select),
    SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(pipe2),
    // files that are open
    SCMP_SYS(close), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(fcntl), SCMP_SYS(fcntl64), SCMP_SYS(dup),
    SCMP_SYS(fadvise64), SCMP_SYS(getdents64),
    // what files there are: certificates, /etc/hosts
    SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat), SCMP_SYS(stat64), SCMP_SYS(fstat64), SCMP_SYS(lstat64),
    SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(fstatfs),
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    // threads, and their end
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(membarrier), SCMP_SYS(set_tid_address), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    // signals
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    // time, and what the machine is
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday),
    SCMP_SYS(time), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(getrlimit),
    SCMP_SYS(ugetrlimit), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid)};

// What neither the gateway nor a library ever calls: whoever does ends the process.
static const int deadly[] = {SCMP_SYS(execve),
                             SCMP_SYS(execveat),
                             SCMP_SYS(ptrace),
                             SCMP_SYS(process_vm_readv),
                             SCMP_SYS(process_vm_writev),
                             SCMP_SYS(init_module),
                             SCMP_SYS(finit_module),
                             SCMP_SYS(delete_module),
                             SCMP_SYS(kexec_load),
                             SCMP_SYS(bpf),
                             SCMP_SYS(mount),
                             SCMP_SYS(umount2),
                             SCMP_SYS(pivot_root),
                             SCMP_SYS(chroot),
                             SCMP_SYS(unshare),
                             SCMP_SYS(setns),
                             SCMP_SYS(perf_event_open),
                             SCMP_SYS(userfaultfd),
                             SCMP_SYS(io_uring_setup),
                             SCMP_SYS(open_by_handle_at),
                             SCMP_SYS(setuid),
                             SCMP_SYS(setgid),
                             SCMP_SYS(reboot)};

#define COUNT(list) (sizeof(list) / sizeof *(list))

// The call `call` is allowed where argument `number`, as far as `mask` says, is `value`. 0, or -errno.
static int allow_where(scmp_filter_ctx filter, int call, unsigned number, uint64_t mask, uint64_t value)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                            SCMP_CMP64(number, SCMP_CMP_MASKED_EQ, mask, value));
}

// An argument of 32 bits: the upper half of its register means nothing.
static int allow_int(scmp_filter_ctx filter, int call, unsigned number, uint32_t value)
{
    return allow_where(filter, call, number, UINT32_MAX, value);
}

static int allow_calls(scmp_filter_ctx filter, bool unlinks)
{
    int failure = 0;
    for (size_t i = 0; failure == 0 && i < COUNT(allowed); i++)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; failure == 0 && i < COUNT(deadly); i++)
        failure = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    if (failure == 0 && unlinks)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unlink), 0);
    if (failure == 0 && unlinks)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unlinkat), 0);
    return failure;
}

struct rule {
    int call;
    unsigned argument;
    uint64_t mask, value;
};

static int allow_rules(scmp_filter_ctx filter)
{
    const uint64_t writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    const uint64_t spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                            CLONE_NEWNET | CLONE_NEWCGROUP;
    const struct rule rules[] = {
        {SCMP_SYS(open), 1, writes, 0},
        {SCMP_SYS(openat), 2, writes, 0},
        // A library that getaddrinfo loads is mapped executable.
        {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
        {SCMP_SYS(mmap), 2, PROT_WRITE, 0},
        {SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
        {SCMP_SYS(mmap2), 2, PROT_WRITE, 0},
        {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
        {SCMP_SYS(clone), 0, spaces | CLONE_THREAD, CLONE_THREAD},
    };
    int failure = 0;
    for (size_t i = 0; failure == 0 && i < COUNT(rules); i++)
        failure = allow_where(filter, rules[i].call, rules[i].argument, rules[i].mask, rules[i].value);
    return failure;
}

static int allow_values(scmp_filter_ctx filter)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}; // the last for getaddrinfo
    static const uint32_t requests[] = {FIONREAD, FIONBIO, SIOCOUTQ, TIOCGWINSZ};
    int failure = 0;
    for (size_t i = 0; failure == 0 && i < COUNT(families); i++)
        failure = allow_int(filter, SCMP_SYS(socket), 0, (uint32_t)families[i]);
    if (failure == 0)
        failure = allow_int(filter, SCMP_SYS(socketpair), 0, AF_UNIX);
    for (size_t i = 0; failure == 0 && i < COUNT(requests); i++)
        failure = allow_int(filter, SCMP_SYS(ioctl), 1, requests[i]);
    if (failure == 0)
        failure = allow_int(filter, SCMP_SYS(prctl), 0, PR_SET_NAME);
    if (failure == 0)
        failure = allow_int(filter, SCMP_SYS(prctl), 0, PR_GET_NAME);
    if (failure == 0)
        failure = allow_int(filter, SCMP_SYS(tgkill), 0, (uint32_t)getpid()); // abort(3)
    if (failure == 0)
        failure = allow_where(filter, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0); // limits are read, not set
    // Its arguments are in memory, which a filter cannot see; glibc takes clone instead.
    if (failure == 0)
        failure = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return failure;
}

static int load_filter(bool unlinks)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    int failure = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); // all threads: that of the log runs
    if (failure == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); // an old kernel filters without telling
    if (failure == 0)
        failure = allow_calls(filter, unlinks);
    if (failure == 0)
        failure = allow_rules(filter);
    if (failure == 0)
        failure = allow_values(filter);
    if (failure == 0)
        failure = seccomp_load(filter);
    seccomp_release(filter);
    return failure;
}

void sandbox_keep_privileges(void)
{
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); // a kernel before 3.5 has none to keep
}

bool sandbox_enter(bool unlinks, char *error, size_t error_size)
{
    int failure = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ? -errno : load_filter(unlinks);
    if (failure != 0)
        snprintf(error, error_size, "--seccomp: the kernel does not take the filter: %s", strerror(-failure));
    return failure == 0;
}
