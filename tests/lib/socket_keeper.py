"""Keeps listening sockets open and runs a program with them, as systemd does for a service with a socket unit
(sd_listen_fds(3)); when the program has ended, runs it again.

    socket_keeper.py [--once] [--names A:B] [--pid PID] SOCKET... -- PROGRAM ARGUMENT...

SOCKET is a kind, an equals sign and where: tcp=127.0.0.1:8080, tcp=[::1]:8080, unix=/run/x, abstract=name; or, for what
is no use, datagram=127.0.0.1:8080, connected=127.0.0.1:8080 (to a listener there), bound=127.0.0.1:8080, file=/dev/null,
closed=. Says `started PID` for each run. SIGTERM ends the program, then this one, with the program's status.
"""

import os
import signal
import socket
import sys

FIRST = 3


def address(text):
    host, port = text.rsplit(":", 1)
    return (host.strip("[]"), int(port))


def make(word):
    kind, where = word.split("=", 1)
    if kind == "file":
        return os.open(where, os.O_RDONLY)
    if kind == "closed":
        return None
    if kind in ("unix", "abstract"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(where if kind == "unix" else "\0" + where)
    else:
        family = socket.AF_INET6 if where.startswith("[") else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == "connected":
            made.connect(address(where))
        else:
            made.bind(address(where))
    if kind in ("tcp", "unix", "abstract"):
        made.listen(4096)
    return made.detach()


def become(program, fds, environment):
    """In the child: the sockets are 3, 4, .. there, whatever their numbers are here."""
    high = [fd if fd is None else os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
    for i, fd in enumerate(high):
        if fd is None:
            os.closerange(FIRST + i, FIRST + i + 1)
        else:
            os.dup2(fd, FIRST + i, inheritable=True)
    for fd in (fd for fd in high if fd is not None):
        os.close(fd)
    environment.setdefault("LISTEN_PID", str(os.getpid()))
    os.execvpe(program[0], program, environment)


def main():
    words, program = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    environment = dict(os.environ)
    once = "--once" in words
    words = [word for word in words if word != "--once"]
    while words and words[0].startswith("--"):
        environment[{"--names": "LISTEN_FDNAMES", "--pid": "LISTEN_PID", "--count": "LISTEN_FDS"}[words[0]]] = words[1]
        words = words[2:]
    fds = [make(word) for word in words]
    environment.setdefault("LISTEN_FDS", str(len(fds)))
    child, ending = 0, False

    def end(number, _):
        nonlocal ending
        ending = True
        os.kill(child, number)

    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            become(program, fds, environment)
        signal.signal(signal.SIGTERM, end)
        print("started", child, flush=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("ended", child, "with", status, flush=True)
        if once or ending:
            sys.exit(abs(status))


main()
