// What it means that the deadline of a connection is over: another thing in each of its states. The loop's thread.
#pragma once

#include <stdbool.h>

#include "gateway/client/conn.h"

// Times out what the connection waits for, or sends the heartbeat of a stream; may close the connection.
void conn_deadline_over(struct conn *c);

// After a time in which the loop did not run, a deadline may be over though the client sent in time: the bytes that have
// arrived meanwhile are read first, and a connection that waits for another thread's mail gets a second more. True where
// the deadline is not over.
bool conn_deadline_excuse(struct conn *c);
