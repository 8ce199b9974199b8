#include "common/log.h"

#include "common/utf8.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A line is at most LINE_MAX_BYTES with its newline. A message is cut after MESSAGE_MAX_BYTES: JSON may
// double every byte of it (quotes, backslashes) and the line still holds.
#define LINE_MAX_BYTES 4096
#define MESSAGE_MAX_BYTES 1800
#define ID_MAX_BYTES 128

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};

// Standard error is one per process, and so is this. Only the level may change once threads run.
static _Atomic int current_level = LOG_LEVEL_INFO;
static enum log_format current_format = LOG_FORMAT_TEXT;
static char current_id[ID_MAX_BYTES];

// True for what a terminal or a line based reader would act on: C0, DEL and C1 (U+0080 to U+009F).
static bool is_control(const char *s)
{
    unsigned char first = (unsigned char)s[0];

    return first < 0x20 || first == 0x7F || (first == 0xC2 && (unsigned char)s[1] < 0xA0);
}

static size_t escape_byte(char byte, char out[5])
{
    switch (byte) {
    case '\n':
        memcpy(out, "\\n", 3);
        return 2;
    case '\r':
        memcpy(out, "\\r", 3);
        return 2;
    case '\t':
        memcpy(out, "\\t", 3);
        return 2;
    default:
        return (size_t)snprintf(out, 5, "\\x%02x", (unsigned)(unsigned char)byte);
    }
}

// Copies `in` to `out` as one line of valid UTF-8. What does not fit is cut at a whole character and marked
// with "...".
static void escape_text(const char *in, char *out, size_t size)
{
    static const char mark[] = "...";
    const char *end = in + strlen(in);
    size_t used = 0;

    while (in < end) {
        size_t len = utf8_sequence(in, (size_t)(end - in));
        char escaped[5];
        const char *piece = in;
        size_t piece_len = len;

        if (len == 0 || is_control(in)) {
            len = 1;
            piece = escaped;
            piece_len = escape_byte(*in, escaped);
        }
        if (used + piece_len + sizeof(mark) > size) {
            memcpy(out + used, mark, sizeof(mark));
            return;
        }
        memcpy(out + used, piece, piece_len);
        used += piece_len;
        in += len;
    }
    out[used] = '\0';
}

// RFC 3339, UTC, milliseconds.
static void format_now(char out[32])
{
    struct timespec now;
    struct tm utc;
    size_t used;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || gmtime_r(&now.tv_sec, &utc) == NULL) {
        memcpy(out, "-", 2);
        return;
    }
    used = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + used, 32 - used, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

static size_t format_text(char *line, const char *now, int level, const char *module, const char *message)
{
    int n = snprintf(line, LINE_MAX_BYTES, "%s %-5s %s: %s", now, level_names[level], module, message);

    return n < 0 ? 0 : (size_t)n < LINE_MAX_BYTES - 1 ? (size_t)n : LINE_MAX_BYTES - 1;
}

// Returns 0 where memory ran out.
static size_t format_json(char *line, const char *now, int level, const char *module, const char *message)
{
    size_t len;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "ts", now, "level", level_names[level], "module",
                               module, "id", current_id, "msg", message);

    if (object == NULL)
        return 0;
    len = json_dumpb(object, line, LINE_MAX_BYTES - 1, JSON_COMPACT);
    json_decref(object);
    return len < LINE_MAX_BYTES ? len : 0;
}

static void __attribute__((format(printf, 3, 0)))
log_line(int level, const char *module, const char *format, va_list args)
{
    char raw[LINE_MAX_BYTES], message[MESSAGE_MAX_BYTES], now[32], line[LINE_MAX_BYTES];
    size_t len = 0;
    ssize_t written;

    if (level < atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    if (vsnprintf(raw, sizeof(raw), format, args) < 0)
        return;
    escape_text(raw, message, sizeof(message));
    format_now(now);
    if (current_format == LOG_FORMAT_JSON)
        len = format_json(line, now, level, module, message);
    if (len == 0)
        len = format_text(line, now, level, module, message);
    line[len++] = '\n';
    // There is nowhere to tell of a failed write, and a short one is not continued: a broken line is better
    // than a blocked loop.
    written = write(STDERR_FILENO, line, len);
    (void)written;
}

void log_setup(enum log_level level, enum log_format format, const char *id)
{
    current_format = format;
    escape_text(id ? id : "", current_id, sizeof(current_id));
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

#define LOG_FUNCTION(name, level)                                                                            \
    void name(const char *module, const char *format, ...)                                                   \
    {                                                                                                        \
        va_list args;                                                                                        \
        va_start(args, format);                                                                              \
        log_line(level, module, format, args);                                                               \
        va_end(args);                                                                                        \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

static int name_index(const char *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return -1;
}

bool log_level_from_name(const char *name, enum log_level *level)
{
    int i = name_index(name, level_names, sizeof(level_names) / sizeof(level_names[0]));

    if (i < 0)
        return false;
    *level = (enum log_level)i;
    return true;
}

bool log_format_from_name(const char *name, enum log_format *format)
{
    int i = name_index(name, format_names, sizeof(format_names) / sizeof(format_names[0]));

    if (i < 0)
        return false;
    *format = (enum log_format)i;
    return true;
}
