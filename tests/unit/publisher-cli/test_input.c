#include "publisher-cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/lib/unit_main.h"

#define MAX 1000000

static int fds[2];
static struct input input;

static void open_pipe(size_t max)
{
    ck_assert_int_eq(pipe(fds), 0);
    input_init(&input, fds[0], max);
}

static void write_text(const char *text, size_t len)
{
    ck_assert_int_eq(write(fds[1], text, len), (ssize_t)len);
}

static void end(void)
{
    close(fds[1]);
}

static void teardown(void)
{
    input_deinit(&input);
    close(fds[0]);
}

TESTS_WITH(.teardown = teardown);

// The next line, reading as often as is needed.
static enum input_result next(const char **line, size_t *len)
{
    enum input_result result;

    while ((result = input_next_line(&input, line, len)) == INPUT_PENDING) {
        result = input_fill(&input);
        if (result != INPUT_PENDING)
            break;
    }
    return result;
}

static void assert_line(const char *expected, size_t expected_len)
{
    const char *line;
    size_t len;

    ck_assert_int_eq(next(&line, &len), INPUT_LINE);
    ck_assert_uint_eq(len, expected_len);
    ck_assert_int_eq(memcmp(line, expected, len), 0);
}

static void assert_end(void)
{
    const char *line;
    size_t len;

    ck_assert_int_eq(next(&line, &len), INPUT_END);
}

TEST(lines_lose_their_line_break)
{
    open_pipe(MAX);
    write_text("a\n\nb\r\n\r\nc\rd\ne\0f\nlast", 20);
    end();
    assert_line("a", 1);
    assert_line("", 0);
    assert_line("b", 1);
    assert_line("", 0);
    assert_line("c\rd", 3);
    assert_line("e\0f", 3);
    assert_line("last", 4);
    assert_end();
}

TEST(no_input_is_no_line)
{
    open_pipe(MAX);
    end();
    assert_end();
}

// What makes `tail -f` live: a line that is there is handed over before the next read, which would block.
TEST(a_line_does_not_wait_for_more)
{
    const char *line;
    size_t len;

    open_pipe(MAX);
    write_text("one\ntwo\nhal", 11);
    ck_assert_int_eq(input_fill(&input), INPUT_PENDING);
    ck_assert_int_eq(input_next_line(&input, &line, &len), INPUT_LINE);
    ck_assert_int_eq(input_next_line(&input, &line, &len), INPUT_LINE);
    ck_assert_int_eq(input_next_line(&input, &line, &len), INPUT_PENDING);
    write_text("f\n", 2);
    ck_assert_int_eq(input_fill(&input), INPUT_PENDING);
    assert_line("half", 4);
    end();
}

// Written by a child, since a pipe holds less than this.
TEST(many_long_lines_come_whole)
{
    static char expected[300000];
    const size_t lengths[] = {1, 65535, 65536, 65537, 131072, 262143, 299999, 0, 3};
    size_t count = sizeof(lengths) / sizeof(lengths[0]);

    for (size_t i = 0; i < sizeof(expected); i++)
        expected[i] = (char)('a' + i % 23);
    open_pipe(MAX);
    if (fork() == 0) {
        for (size_t i = 0; i < count; i++) {
            if (write(fds[1], expected, lengths[i]) < 0 || write(fds[1], "\n", 1) < 0)
                _exit(1);
        }
        _exit(0);
    }
    end();
    for (size_t i = 0; i < count; i++)
        assert_line(expected, lengths[i]);
    assert_end();
}

TEST(a_line_is_bounded)
{
    const char *line;
    size_t len;

    open_pipe(10);
    write_text("0123456789\n0123456789\r\n01234567890\n", 35);
    end();
    assert_line("0123456789", 10);
    assert_line("0123456789", 10);
    ck_assert_int_eq(next(&line, &len), INPUT_TOO_LONG);
}

TEST(an_endless_line_is_noticed_before_its_end)
{
    const char *line;
    size_t len;

    open_pipe(10);
    write_text("0123456789012", 13);
    ck_assert_int_eq(next(&line, &len), INPUT_TOO_LONG);
    end();
}

static const struct {
    const char *text;
    size_t len;
    const char *expected;
    size_t expected_len;
} wholes[] = {
    {"", 0, "", 0},           {"hi\n", 3, "hi", 2},
    {"hi", 2, "hi", 2},       {"hi\r\n", 4, "hi", 2},
    {"hi\n\n", 4, "hi\n", 3}, {"\n", 1, "", 0},
    {"a\nb\n", 4, "a\nb", 3}, {"a\0b", 3, "a\0b", 3},
    {"hi\r", 3, "hi\r", 3},   {"0123456789\n", 11, "0123456789", 10},
};

TEST_EACH(all_of_it_loses_one_line_break_at_the_end, wholes)
{
    const char *text;
    size_t len;

    open_pipe(10);
    write_text(wholes[_i].text, wholes[_i].len);
    end();
    ck_assert_int_eq(input_read_all(&input, &text, &len), INPUT_LINE);
    ck_assert_uint_eq(len, wholes[_i].expected_len);
    ck_assert_int_eq(memcmp(text, wholes[_i].expected, len), 0);
}

TEST(all_of_it_is_bounded)
{
    const char *text;
    size_t len;

    open_pipe(10);
    write_text("01234567890\n", 12);
    end();
    ck_assert_int_eq(input_read_all(&input, &text, &len), INPUT_TOO_LONG);
}

static void write_two(int signal_number)
{
    (void)signal_number;
    write_text("two\n", 4);
}

// As a parent's Node.js leaves it. The signal comes while the read waits, and interrupts it, too.
TEST(a_descriptor_that_does_not_block_is_waited_for)
{
    const struct sigaction action = {.sa_handler = write_two};
    const struct itimerval soon = {.it_value.tv_usec = 10000};

    open_pipe(MAX);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    write_text("one\n", 4);
    assert_line("one", 3);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_line("two", 3);
    end();
    assert_end();
}

TEST(a_failed_read_is_told)
{
    const char *text;
    size_t len;

    open_pipe(10);
    input.fd = fds[1];
    ck_assert_int_eq(input_read_all(&input, &text, &len), INPUT_ERROR);
    ck_assert_int_eq(errno, EBADF);
    end();
}

TEST(more_input_is_waited_for_no_longer_than_said)
{
    open_pipe(MAX);
    ck_assert(!input_within(&input, 1));
    write_text("a", 1);
    ck_assert(input_within(&input, 60000));
    ck_assert_int_eq(input_fill(&input), INPUT_PENDING);
    ck_assert(!input_within(&input, 0));
    end();
    ck_assert(input_within(&input, 60000)); // the end can be read, too
}
