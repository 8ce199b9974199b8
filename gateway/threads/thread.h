// A thread that leaves signals to the main thread.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "gateway/threads/mailbox.h"

// `name` (at most 15 bytes) is for top -H and debuggers. False where there can be no further thread.
bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

// Posts MAIL_STOP to the thread's `inbox` and waits until it has ended.
void thread_stop(pthread_t thread, struct mailbox *inbox);
