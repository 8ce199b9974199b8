// Writes log lines to standard error. One thread for the whole process may wait for the reader; callers never
// do: they copy a line into a ring of bytes under a lock that is held for that copy alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// With its newline: a pipe takes a line whole or not at all (PIPE_BUF).
#define LOG_LINE_MAX 4096

struct log_writer_hooks {
    // Writes a line that says that `dropped` lines were dropped to `line` (LOG_LINE_MAX bytes), and returns
    // its length.
    size_t (*on_dropped)(char *line, uint64_t dropped);
    // Called every second.
    void (*on_tick)(void);
};

// Starts the thread; `bytes` bounds the lines that wait (each takes 2 bytes more). False where memory or
// threads have run out. Once a process. From then on a crash waits a moment for the lines before it.
bool log_writer_start(size_t bytes, const struct log_writer_hooks *hooks);

// Takes a copy of `line` (at most LOG_LINE_MAX bytes, newline included), or drops and counts it. Before
// log_writer_start it is written by the caller. Any thread.
void log_writer_put(const char *line, size_t len);

// Ends the thread once all is written; false where that takes more than `timeout_ms`: the thread is left
// alone then, and later lines are dropped.
bool log_writer_stop(uint32_t timeout_ms);

// Any thread.
uint64_t log_writer_dropped(void);
