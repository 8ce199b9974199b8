// Log lines on standard error: one write(2) a line, so that lines never interleave.
//
// Between log_start and log_stop no caller waits for the reader of standard error: lines go to a bounded
// buffer (common/log_writer.h), and what does not fit is dropped and counted. Before and after, the caller
// writes its line itself.
//
// Each call of log_info, log_warn and log_error in the source may write a bounded number of lines per period
// (log_set_limit); a later line says how many were left out. So a message that a client or a server causes
// over and over cannot fill the log. log_debug is not limited.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
// In the order of the enums; NULL at the end.
extern const char *const log_level_names[], *const log_format_names[];

#define LOG_EXAMPLE_SIZE 120

// The lines that one call in the source wrote, or left out, in the current period. Static, zero at first;
// guarded by a lock of log.c.
struct log_site {
    struct log_site *next; // of the sites that have left out lines
    bool listed;
    uint64_t since_ms; // when the period began
    uint64_t said, left_out;
    const char *module;
    enum log_level level;
    char example[LOG_EXAMPLE_SIZE]; // the last message that was written
};

// Level and format for the whole process (standard error is one per process). `id` names this gateway in JSON
// lines; copied. Call before other threads start. The level alone may be changed later, from any thread.
void log_setup(enum log_level level, enum log_format format, const char *id);
void log_set_level(enum log_level level);

// `lines` in `period_ms` for each call in the source. Call before other threads start.
void log_set_limit(unsigned lines, uint32_t period_ms);

// Starts the thread that writes. At most `bytes` of lines wait for it. False where memory or threads have run
// out. Once a process.
bool log_start(size_t bytes);
// Waits until what was logged is written, at most `timeout_ms`: a reader that stands still must not hold up
// the exit. False where lines are left, which are lost.
bool log_stop(uint32_t timeout_ms);
// Lines that were dropped because the buffer was full or standard error could not be written. Any thread.
uint64_t log_dropped(void);

// One line. `module` names the folder or file that logs ("redis", "listener"), a literal. The message is a
// sentence for a person at 3 a.m.: what happened, and what to do about it. Control characters and invalid
// UTF-8 in it are escaped. Any thread.
void log_at(struct log_site *site, enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// A value that a line has beside its message, for programs: a member of the object in JSON, ` name=value` behind
// the message in text.
struct log_field {
    const char *name; // a literal
    enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_BOOL } kind;
    const char *text; // NULL: null in JSON, `-` in text
    uint64_t number;
};
#define LOG_TEXT(field, value) ((struct log_field){.name = (field), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_NUMBER(field, value)                                                                             \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_NUMBER, .number = (value)})
#define LOG_BOOL(field, value)                                                                               \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_BOOL, .number = (value)})
#define LOG_FIELD_MAX 512 // bytes of a text, once it is escaped; what is more is cut

// One line with `count` fields. Not limited per call in the source: the caller has a bound for them. Texts are
// escaped as messages are; in text format one with a space, a quote, a backslash or an equals sign is quoted. Any
// thread.
void log_fields(enum log_level level, const char *module, const char *message, const struct log_field *fields,
                size_t count);
// True where lines of that level are written. Any thread.
bool log_has_level(enum log_level level);

#define LOG_LIMITED(level, ...)                                                                              \
    do {                                                                                                     \
        static struct log_site log_site_here;                                                                \
        log_at(&log_site_here, level, __VA_ARGS__);                                                          \
    } while (0)

#define log_debug(...) log_at(NULL, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_LIMITED(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) LOG_LIMITED(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) LOG_LIMITED(LOG_LEVEL_ERROR, __VA_ARGS__)
