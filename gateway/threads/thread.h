// Threads in which all signals are blocked: the main thread handles them.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "gateway/threads/mailbox.h"

// `name` (at most 15 bytes) is for top -H and debuggers. False where the thread cannot be created.
bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

// Posts MAIL_STOP to the thread's `inbox` and waits until it has ended.
void thread_stop(pthread_t thread, struct mailbox *inbox);
