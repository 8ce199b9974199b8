// What the process gives up: rights that it never needs, so that code which an intruder runs in it has none of
// them either. Main thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// No program that this process might start gets more rights than the process has (prctl(2),
// PR_SET_NO_NEW_PRIVS). Costs nothing and cannot be undone.
void sandbox_keep_privileges(void);

// --seccomp: from here on all threads may make only the system calls of the gateway and its libraries. Others
// fail with EPERM and are told to the kernel's audit log; those that only an intruder makes (execve, ptrace ..)
// end the process. Files are opened to be read, threads are the only processes that can be created, and memory
// is never writable and executable. No other process of the user may read the memory, and there is no core
// dump. Call it when listeners are bound and nothing is served yet. `unlinks`: files are removed at the exit
// (unix sockets). False with one line in `error`.
bool sandbox_enter(bool unlinks, char *error, size_t error_size);
