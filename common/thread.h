// Threads in which all signals are blocked: the main thread handles them.
#pragma once

#include <pthread.h>
#include <stdbool.h>

// `name` (at most 15 bytes) is for top -H and debuggers. False where the thread cannot be created.
bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);
