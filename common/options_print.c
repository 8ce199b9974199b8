#include "common/options.h"

#include <ctype.h>
#include <string.h>

#include "common/option_value.h"

#define HELP_WIDTH 80
#define HELP_INDENT 24
#define HELP_TEXT_MAX 1024

// True for what may stand in the environment and in a file.
static bool in_all_sources(const struct option_table *table, const struct option_spec *spec)
{
    return !(spec->properties & (OPTION_COMMAND_LINE | OPTION_ENDS)) &&
           !(table->config_option && strcmp(spec->name, table->config_option) == 0);
}

// The length of the line so far, so that words can be wrapped.
struct wrapped {
    FILE *out;
    size_t column, indent;
};

static void wrap_word(struct wrapped *w, const char *word, size_t len)
{
    if (w->column > w->indent && w->column + 1 + len > HELP_WIDTH) {
        fputc('\n', w->out);
        w->column = 0;
    }
    if (w->column < w->indent)
        w->column += (size_t)fprintf(w->out, "%*s", (int)(w->indent - w->column), "");
    else if (w->column > w->indent)
        w->column += (size_t)fprintf(w->out, " ");
    fwrite(word, 1, len, w->out);
    w->column += len;
}

static void wrap_text(struct wrapped *w, const char *text)
{
    while (*(text += strspn(text, " ")) != '\0') {
        size_t len = strcspn(text, " ");
        wrap_word(w, text, len);
        text += len;
    }
}

// The words of --help after an option's name: its sentence, the choices, the default.
static void compose_help(const struct option_spec *spec, char out[HELP_TEXT_MAX])
{
    const char *shown = spec->default_note ? spec->default_note : spec->default_text;
    size_t used = (size_t)snprintf(out, HELP_TEXT_MAX, "%s", spec->help);
    for (size_t i = 0; spec->type == OPTION_ENUM && spec->names[i] && used < HELP_TEXT_MAX; i++)
        used += (size_t)snprintf(out + used, HELP_TEXT_MAX - used, "%s%s", i ? ", " : "; one of ",
                                 spec->names[i]);
    if (shown && used < HELP_TEXT_MAX)
        snprintf(out + used, HELP_TEXT_MAX - used, " (default: %s)", shown);
}

static void print_option(const struct option_spec *spec, FILE *out)
{
    struct wrapped w = {.out = out, .indent = HELP_INDENT};
    const char *argument = option_value_argument(spec);
    char text[HELP_TEXT_MAX], letter[] = "-x, ";
    letter[1] = spec->letter;
    w.column = (size_t)fprintf(out, "  %s--%s%s%s", spec->letter ? letter : "", spec->name,
                               argument ? " " : "", argument ? argument : "");
    if (w.column + 2 > HELP_INDENT) {
        fputc('\n', out);
        w.column = 0;
    }
    compose_help(spec, text);
    wrap_text(&w, text);
    fputc('\n', out);
}

static void print_command(const struct option_command *command, FILE *out)
{
    struct wrapped w = {.out = out, .indent = HELP_INDENT};
    w.column = (size_t)fprintf(out, "  %s %s", command->name, command->operands);
    if (w.column + 2 > HELP_INDENT) {
        fputc('\n', out);
        w.column = 0;
    }
    wrap_text(&w, command->help);
    fputc('\n', out);
}

static void print_paragraph(FILE *out, const char *text)
{
    struct wrapped w = {.out = out};
    fputc('\n', out);
    wrap_text(&w, text);
    fputc('\n', out);
}

static void print_sources(const struct option_table *table, FILE *out)
{
    char text[HELP_TEXT_MAX], example[64] = "";
    const struct option_spec *spec = NULL;
    for (size_t i = 0; table->prefix && !spec && i < table->count; i++) {
        if (in_all_sources(table, &table->specs[i]))
            spec = &table->specs[i];
    }
    if (!spec)
        return;
    snprintf(example, sizeof example, "%s%s", table->prefix, spec->name);
    for (char *c = example; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    snprintf(
        text, sizeof text, "--%s may also be given as %s in the environment%s%s%s.", spec->name, example,
        table->config_option ? ", or as \"" : "", table->config_option ? spec->name : "",
        table->config_option
            ? " = ...\" in the file of --config; so may every other option that sets a value. The command "
              "line counts before the environment, the environment before the file"
            : "");
    print_paragraph(out, text);
}

void options_print_help(const struct option_table *table, FILE *out)
{
    fprintf(out, "Usage: %s %s\n", table->program, table->synopsis);
    print_paragraph(out, table->purpose);
    if (table->command_count > 0)
        fprintf(out, "\nCommands:\n");
    for (size_t i = 0; i < table->command_count; i++)
        print_command(&table->commands[i], out);
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->group)
            fprintf(out, "\n%s:\n", spec->group);
        else if (i == 0)
            fputc('\n', out);
        if (!(spec->properties & OPTION_HIDDEN))
            print_option(spec, out);
    }
    print_sources(table, out);
    if (table->epilogue)
        print_paragraph(out, table->epilogue);
}

// False for text that common/ini.c would not read back: it trims blanks, and a line end ends a value.
static bool ini_can_hold(const char *text)
{
    size_t len = strlen(text);
    return strchr(text, '\n') == NULL &&
           (len == 0 || (!strchr(" \t\r", text[0]) && !strchr(" \t\r", text[len - 1])));
}

static void print_text(const struct option_spec *spec, const char *text, FILE *out)
{
    const char *scheme = strstr(text, "://"), *at = strrchr(text, '@');
    if ((spec->properties & OPTION_SECRET) && *text)
        fprintf(out, "# %s = (set)\n", spec->name);
    else if ((spec->properties & OPTION_SECRET_URL) && at)
        fprintf(out, "# %s = %.*s(set)%s\n", spec->name, scheme && scheme < at ? (int)(scheme - text) + 3 : 0,
                text, at);
    else if (ini_can_hold(text))
        fprintf(out, "%s = %s\n", spec->name, text);
    else
        fprintf(out, "# %s: the value has blanks at an end or a line break, which a file cannot hold\n",
                spec->name);
}

static void print_value(const struct option_spec *spec, const void *values, FILE *out)
{
    const void *value = option_value_at(spec, values);
    const struct option_list *list = value;
    char number[OPTION_NUMBER_TEXT];
    if (spec->type == OPTION_LIST) {
        for (size_t i = 0; i < list->count; i++)
            print_text(spec, list->items[i], out);
        if (list->count == 0)
            fprintf(out, "%s =\n", spec->name);
    } else if (spec->type == OPTION_STRING && *(char *const *)value) {
        print_text(spec, *(char *const *)value, out);
    } else if (spec->type != OPTION_STRING && option_value_format(spec, values, number)) {
        fprintf(out, "%s = %s\n", spec->name, number);
    } else {
        fprintf(out, "# %s is not set\n", spec->name);
    }
}

void options_print_config(const struct option_table *table, const void *values, FILE *out)
{
    const char *group = NULL, *printed = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        group = spec->group ? spec->group : group;
        if (!in_all_sources(table, spec))
            continue;
        if (group != printed)
            fprintf(out, "%s# %s\n", printed ? "\n" : "", group);
        printed = group;
        print_value(spec, values, out);
    }
}
