// Probes for tracers (USDT): one `nop` each in the program, and a note in its file that says where that is and where
// the arguments are. They need <sys/sdt.h> at build time (Debian: systemtap-sdt-dev), which is a header alone; without
// it they are nothing. docs/operations.md lists them; arguments are numbers and pointers that are at hand anyway.
#pragma once

#if defined(__has_include) && __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PROBE3(name, a, b, c) DTRACE_PROBE3(sse_gateway, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(sse_gateway, name, a, b, c, d)
#else
#define PROBE3(name, a, b, c) ((void)0)
#define PROBE4(name, a, b, c, d) ((void)0)
#endif
