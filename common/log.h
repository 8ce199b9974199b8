// Log lines on standard error: one write(2) a line, so that threads never interleave.
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

// Level and format for the whole process (standard error is one per process). `id` names this gateway in JSON
// lines; copied. Call before other threads start. The level alone may be changed later, from any thread.
void log_setup(enum log_level level, enum log_format format, const char *id);
void log_set_level(enum log_level level);

// One line. `module` is the room or file that speaks ("redis", "listener"). The message is a sentence for a
// person at 3 a.m.: what happened, and what to do about it. Control characters and invalid UTF-8 in it are
// escaped. Any thread.
void log_debug(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));

// "debug", "info", "warn", "error"; "text", "json". False when the name is not known.
bool log_level_from_name(const char *name, enum log_level *level);
bool log_format_from_name(const char *name, enum log_format *format);
