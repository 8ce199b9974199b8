// Sockets of 127.0.0.1.
#pragma once

// The port that a bound socket of IPv4 or IPv6 has.
unsigned short tcp_port_of(int fd);

// A connected socket, which the caller closes; -1 and errno where it is refused.
int tcp_connect(unsigned short port);
