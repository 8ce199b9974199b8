#include "common/ini.h"

#include <errno.h>
#include <string.h>

enum line_result { LINE_OK, LINE_END, LINE_TOO_LONG, LINE_NUL, LINE_ERROR };

static enum line_result read_line(FILE *in, char line[INI_LINE_MAX + 1])
{
    size_t len = 0;
    int c;
    while ((c = getc(in)) != EOF && c != '\n') {
        if (c == '\0')
            return LINE_NUL;
        if (len == INI_LINE_MAX)
            return LINE_TOO_LONG;
        line[len++] = (char)c;
    }
    line[len] = '\0';
    if (c == EOF && ferror(in))
        return LINE_ERROR;
    return c == EOF && len == 0 ? LINE_END : LINE_OK;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

static bool use_line(char *line, unsigned number, ini_entry_callback *on_entry, void *user, char *error,
                     size_t error_size)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (number == 1 && strncmp(line, byte_order_mark, 3) == 0)
        line += 3;
    line = trim(line);
    if (*line == '\0' || *line == '#' || *line == ';')
        return true;
    if (*line == '[') {
        if (line[strlen(line) - 1] == ']')
            return true;
        snprintf(error, error_size, "a section is written [name]");
        return false;
    }
    char *value = strchr(line, '=');
    if (!value || value == line) {
        snprintf(error, error_size, "expected a line like: name = value");
        return false;
    }
    *value++ = '\0';
    return on_entry(user, trim(line), trim(value), number, error, error_size);
}

bool ini_read(FILE *in, const char *filename, ini_entry_callback *on_entry, void *user, char *error,
              size_t error_size)
{
    char line[INI_LINE_MAX + 1];
    char reason[512] = "";
    for (unsigned number = 1;; number++) {
        switch (read_line(in, line)) {
        case LINE_OK:
            if (use_line(line, number, on_entry, user, reason, sizeof reason))
                continue;
            break;
        case LINE_END:
            return true;
        case LINE_TOO_LONG:
            snprintf(reason, sizeof reason, "the line has more than %d bytes", INI_LINE_MAX);
            break;
        case LINE_NUL:
            snprintf(reason, sizeof reason, "the line holds a NUL byte; this is no text file");
            break;
        case LINE_ERROR:
            snprintf(error, error_size, "cannot read %s: %s", filename, strerror(errno));
            return false;
        }
        snprintf(error, error_size, "%s:%u: %s", filename, number, reason);
        return false;
    }
}
