// Standard input, whole or line by line. Never more than a bound in memory, and a line is handed over as soon
// as it is there, so that `tail -f | sse-publish --lines` is live.
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum input_result {
    INPUT_LINE,    // a line, or all of it
    INPUT_PENDING, // no whole line is at hand: call input_fill, which may block
    INPUT_END,
    INPUT_TOO_LONG, // a line, or all of it, has more than the bound
    INPUT_ERROR,    // read failed: errno. Or memory ran out: ENOMEM
};

struct input {
    int fd;          // borrowed
    size_t max;      // bytes of a line, or of all
    struct buf read; // from `start` on it is not handed over; up to `scanned` there is no line break
    size_t start, scanned;
    bool ended;
};

void input_init(struct input *input, int fd, size_t max);
void input_deinit(struct input *input);

// The next line, without its LF or CRLF; the last one may lack it. Borrowed until the next call.
enum input_result input_next_line(struct input *input, const char **line, size_t *len);

// One read(2) that waits for bytes, also of a non-blocking descriptor. INPUT_PENDING is success here: call
// input_next_line again.
enum input_result input_fill(struct input *input);

// True once a read would not have to wait; false where that took longer than `ms`, or a signal came.
bool input_within(const struct input *input, uint64_t ms);

// All input to its end, without one line break at the end (so that `echo hi` publishes "hi"). Borrowed until
// input_deinit.
enum input_result input_read_all(struct input *input, const char **text, size_t *len);
