#include "publisher-cli/input.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE 65536

void input_init(struct input *input, int fd, size_t max)
{
    *input = (struct input){.fd = fd, .max = max};
}

void input_deinit(struct input *input)
{
    buf_free(&input->read);
}

// Bytes of [text, text + len) without one LF or CRLF at the end.
static size_t without_line_break(const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '\n') {
        len--;
        if (len > 0 && text[len - 1] == '\r')
            len--;
    }
    return len;
}

static enum input_result hand_over(struct input *input, size_t end, const char **text, size_t *len)
{
    *text = input->read.data + input->start;
    *len = without_line_break(*text, end - input->start);
    input->start = input->scanned = end;
    return *len > input->max ? INPUT_TOO_LONG : INPUT_LINE;
}

enum input_result input_next_line(struct input *input, const char **line, size_t *len)
{
    size_t left = input->read.len - input->scanned;
    const char *line_break = left ? memchr(input->read.data + input->scanned, '\n', left) : NULL;

    if (line_break)
        return hand_over(input, (size_t)(line_break - input->read.data) + 1, line, len);
    input->scanned = input->read.len;
    if (!input->ended)
        return input->read.len - input->start > input->max + 1 ? INPUT_TOO_LONG : INPUT_PENDING;
    return input->start < input->read.len ? hand_over(input, input->read.len, line, len) : INPUT_END;
}

// Makes room for one read: moves what is left to the front, or doubles. Doubling stops by itself, as what is
// left is bounded.
static bool make_room(struct input *input)
{
    if (input->start > 0) {
        memmove(input->read.data, input->read.data + input->start, input->read.len - input->start);
        input->scanned -= input->start;
        input->read.len -= input->start;
        input->start = 0;
    }
    return buf_reserve(&input->read, READ_SIZE);
}

// True where a read that failed is worth another: at once, or, of a descriptor that the parent has made
// non-blocking (for itself: that is one flag for both), when there is something to read.
static bool may_read_again(const struct input *input)
{
    struct pollfd readable = {.fd = input->fd, .events = POLLIN};

    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return poll(&readable, 1, -1) >= 0 || errno == EINTR;
    return errno == EINTR;
}

enum input_result input_fill(struct input *input)
{
    ssize_t n;

    if (!make_room(input)) {
        errno = ENOMEM;
        return INPUT_ERROR;
    }
    do {
        n = read(input->fd, input->read.data + input->read.len, READ_SIZE);
    } while (n < 0 && may_read_again(input));
    if (n < 0)
        return INPUT_ERROR;
    input->ended = n == 0;
    input->read.len += (size_t)n;
    return INPUT_PENDING;
}

bool input_within(const struct input *input, uint64_t ms)
{
    struct pollfd readable = {.fd = input->fd, .events = POLLIN};
    return poll(&readable, 1, (int)ms) > 0;
}

enum input_result input_read_all(struct input *input, const char **text, size_t *len)
{
    // Two bytes above the bound may be a line break that does not count.
    while (!input->ended && input->read.len <= input->max + 2) {
        if (input_fill(input) == INPUT_ERROR)
            return INPUT_ERROR;
    }
    return hand_over(input, input->read.len, text, len);
}
