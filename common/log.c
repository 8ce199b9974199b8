#include "common/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log_writer.h"
#include "common/utf8.h"

// A message is cut after MESSAGE_MAX_BYTES: JSON may double every byte of it (quotes, backslashes) and the
// line still holds.
#define MESSAGE_MAX_BYTES 1800
// The longest --id (128 bytes) and the mark of what is cut.
#define ID_MAX_BYTES 132
#define LIMIT_LINES 20u
#define LIMIT_PERIOD_MS 10000u

const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
const char *const log_format_names[] = {"text", "json", NULL};

// Standard error is one per process, and so is this. Only the level may change once threads run.
static _Atomic int current_level = LOG_LEVEL_INFO;
static enum log_format current_format = LOG_FORMAT_TEXT;
static char current_id[ID_MAX_BYTES];
static uint64_t limit_lines = LIMIT_LINES, limit_period_ms = LIMIT_PERIOD_MS;

static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER; // guards every site, and the list
static struct log_site *sites;                                 // the sites that have left out lines

// What a line says.
struct entry {
    enum log_level level;
    const char *module, *message; // the message is escaped
    const struct log_field *fields;
    size_t field_count;
};

// The character of `len` bytes at `s`.
static uint32_t code_point(const char *s, size_t len)
{
    uint32_t code = (unsigned char)s[0] & (len == 1 ? 0x7Fu : 0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)s[i] & 0x3Fu);
    return code;
}

// True for what a terminal or a line based reader would act on: C0, DEL and C1, ends of lines (U+2028 and
// U+2029), and marks that turn the direction of text, which can hide what follows them.
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
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
        if (len == 0 || is_control(code_point(in, len))) {
            len = 1;
            piece = escaped;
            piece_len = escape_byte(*in, escaped);
        }
        if (used + piece_len + sizeof mark > size) {
            memcpy(out + used, mark, sizeof mark);
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

// Appends to `line` what fits; the length of all.
static size_t append(char *line, size_t used, const char *text, size_t len)
{
    size_t room = LOG_LINE_MAX - 1 - used;
    memcpy(line + used, text, len < room ? len : room);
    return used + (len < room ? len : room);
}

// `text` is escaped. It stands in quotes where it could be taken for something else: so one line has one value of
// each name, whatever a client put into it.
static size_t append_value(char *line, size_t used, const char *text)
{
    if (text[0] && strcmp(text, "-") != 0 && !strpbrk(text, " \"\\="))
        return append(line, used, text, strlen(text));
    used = append(line, used, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            used = append(line, used, "\\", 1);
        used = append(line, used, text, 1);
    }
    return append(line, used, "\"", 1);
}

static size_t append_field(char *line, size_t used, const struct log_field *f)
{
    char text[LOG_FIELD_MAX];
    used = append(line, append(line, used, " ", 1), f->name, strlen(f->name));
    used = append(line, used, "=", 1);
    if (f->kind == LOG_FIELD_NUMBER)
        snprintf(text, sizeof text, "%" PRIu64, f->number);
    else if (f->kind == LOG_FIELD_BOOL)
        snprintf(text, sizeof text, "%s", f->number ? "true" : "false");
    else if (f->text)
        escape_text(f->text, text, sizeof text);
    else
        return append(line, used, "-", 1);
    return append_value(line, used, text);
}

static size_t format_text(char *line, const char *now, const struct entry *e)
{
    int n =
        snprintf(line, LOG_LINE_MAX, "%s %-5s %s: %s", now, log_level_names[e->level], e->module, e->message);
    size_t len = n < 0 ? 0 : (size_t)n < LOG_LINE_MAX - 1 ? (size_t)n : LOG_LINE_MAX - 1;
    for (size_t i = 0; i < e->field_count; i++)
        len = append_field(line, len, &e->fields[i]);
    return len;
}

static json_t *field_json(const struct log_field *f)
{
    char text[LOG_FIELD_MAX];
    if (f->kind == LOG_FIELD_NUMBER)
        return json_integer((json_int_t)f->number);
    if (f->kind == LOG_FIELD_BOOL)
        return json_boolean(f->number);
    if (!f->text)
        return json_null();
    escape_text(f->text, text, sizeof text);
    return json_string(text);
}

// Returns 0 where memory ran out.
static size_t format_json(char *line, const char *now, const struct entry *e)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "ts", now, "level", log_level_names[e->level],
                               "module", e->module, "id", current_id, "msg", e->message);
    bool whole = object != NULL;
    for (size_t i = 0; i < e->field_count && whole; i++)
        whole = json_object_set_new(object, e->fields[i].name, field_json(&e->fields[i])) == 0;
    size_t len = whole ? json_dumpb(object, line, LOG_LINE_MAX - 1, JSON_COMPACT) : 0;
    json_decref(object);
    return len < LOG_LINE_MAX ? len : 0;
}

// The length of the line with its newline.
static size_t format_line(char *line, const struct entry *e)
{
    char now[32];
    size_t len = 0;
    format_now(now);
    if (current_format == LOG_FORMAT_JSON)
        len = format_json(line, now, e);
    if (len == 0)
        len = format_text(line, now, e);
    line[len++] = '\n';
    return len;
}

static void put_entry(const struct entry *e)
{
    char line[LOG_LINE_MAX];
    log_writer_put(line, format_line(line, e));
}

static void put(enum log_level level, const char *module, const char *message)
{
    put_entry(&(struct entry){.level = level, .module = module, .message = message});
}

static void put_left_out(const struct log_site *site, uint64_t now_ms)
{
    char message[MESSAGE_MAX_BYTES];
    snprintf(message, sizeof message, "%" PRIu64 " more lines in %" PRIu64 " s like: %s", site->left_out,
             (now_ms - site->since_ms + 999) / 1000, site->example);
    put(site->level, site->module, message);
}

// Under the lock. Begins a new period where the old one is over; what that one left out goes to `ended`.
static void site_begin(struct log_site *site, uint64_t now_ms, struct log_site *ended)
{
    ended->left_out = 0;
    if (site->said > 0 && now_ms - site->since_ms < limit_period_ms)
        return;
    if (site->left_out > 0)
        *ended = *site;
    site->since_ms = now_ms;
    site->said = site->left_out = 0;
}

// True where the site may write a line now; else the line is counted.
static bool site_enter(struct log_site *site)
{
    struct log_site ended;
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&sites_lock);
    site_begin(site, now_ms, &ended);
    bool may = site->said < limit_lines;
    if (may) {
        site->said++;
    } else {
        site->left_out++;
        if (!site->listed) {
            site->listed = true;
            site->next = sites;
            sites = site;
        }
    }
    pthread_mutex_unlock(&sites_lock);
    if (ended.left_out > 0)
        put_left_out(&ended, now_ms);
    return may;
}

static void site_remember(struct log_site *site, enum log_level level, const char *module,
                          const char *message)
{
    pthread_mutex_lock(&sites_lock);
    site->level = level;
    site->module = module;
    escape_text(message, site->example, sizeof site->example); // cut between characters
    pthread_mutex_unlock(&sites_lock);
}

// Logs how many lines were left out in periods that are over; with `all` set, also in those that are not.
static void sites_say(bool all)
{
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&sites_lock);
    for (struct log_site *site = sites; site; site = site->next) {
        if (site->left_out == 0 || (!all && now_ms - site->since_ms < limit_period_ms))
            continue;
        struct log_site ended = *site;
        site->said = site->left_out = 0;
        pthread_mutex_unlock(&sites_lock); // sites are only ever added, in front
        put_left_out(&ended, now_ms);
        pthread_mutex_lock(&sites_lock);
    }
    pthread_mutex_unlock(&sites_lock);
}

void log_at(struct log_site *site, enum log_level level, const char *module, const char *format, ...)
{
    if (!log_has_level(level) || (site && !site_enter(site)))
        return;
    char raw[LOG_LINE_MAX], message[MESSAGE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (len < 0)
        return;
    escape_text(raw, message, sizeof message);
    if (site)
        site_remember(site, level, module, message);
    put(level, module, message);
}

void log_fields(enum log_level level, const char *module, const char *message, const struct log_field *fields,
                size_t count)
{
    if (log_has_level(level))
        put_entry(&(struct entry){
            .level = level, .module = module, .message = message, .fields = fields, .field_count = count});
}

void log_setup(enum log_level level, enum log_format format, const char *id)
{
    current_format = format;
    escape_text(id ? id : "", current_id, sizeof current_id);
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_has_level(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_limit(unsigned lines, uint32_t period_ms)
{
    limit_lines = lines;
    limit_period_ms = period_ms;
}

static size_t on_dropped(char *line, uint64_t dropped)
{
    char message[128];
    snprintf(message, sizeof message, "%" PRIu64 " lines were dropped: standard error was not read in time",
             dropped);
    return format_line(line, &(struct entry){.level = LOG_LEVEL_WARN, .module = "log", .message = message});
}

static void on_tick(void)
{
    sites_say(false);
}

bool log_start(size_t bytes)
{
    const struct log_writer_hooks hooks = {.on_dropped = on_dropped, .on_tick = on_tick};
    return log_writer_start(bytes, &hooks);
}

bool log_stop(uint32_t timeout_ms)
{
    sites_say(true);
    return log_writer_stop(timeout_ms);
}

uint64_t log_dropped(void)
{
    return log_writer_dropped();
}
