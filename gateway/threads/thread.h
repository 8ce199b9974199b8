// A thread that leaves signals to the main thread.
#pragma once

#include <pthread.h>
#include <stdbool.h>

// False where there can be no further thread.
bool thread_start(pthread_t *thread, void *(*run)(void *), void *arg);
