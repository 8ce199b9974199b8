// Which options and operands go together.
#include "publisher-cli/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 256 // of sse_publish
#define OFFSET_MAX UINT64_C(1000000000000)

// Options of the command line that are not for publishing alone.
static const struct {
    const char *name;
    unsigned uses;
} option_uses[] = {
    {"json", USE_PUBLISH | USE_GATEWAYS | USE_HISTORY | USE_SUBSCRIBE | USE_DOCTOR},
    {"after", USE_PUBLISH | USE_HISTORY},
    {"count", USE_HISTORY | USE_SUBSCRIBE},
    {"url", USE_SUBSCRIBE},
    {"last-event-id", USE_SUBSCRIBE},
    {"token-file", USE_SUBSCRIBE | USE_DOCTOR},
    {"ticket", USE_SUBSCRIBE},
    {"cacert", USE_SUBSCRIBE | USE_DOCTOR},
    {"idle", USE_SUBSCRIBE | USE_DOCTOR},
    {"channel", USE_DOCTOR},
    {"origin", USE_DOCTOR},
};

// True where an option bounds the history.
static bool keeps(const struct settings *settings)
{
    return settings->keep != OPTION_UNSET || settings->keep_for != OPTION_UNSET ||
           settings->keep_bytes != OPTION_UNSET;
}

// True where an option says what a durable event is, or when it is published at all.
static bool is_special(const struct settings *settings)
{
    return settings->end != OPTION_UNSET || settings->snapshot || settings->key || settings->after;
}

// True where an option says how to publish.
static bool publishes(const struct settings *settings)
{
    return settings->durable || settings->lines || settings->trace || settings->event || settings->id ||
           settings->retry != OPTION_UNSET || settings->coalesce != OPTION_UNSET || keeps(settings) ||
           is_special(settings);
}

static bool revokes(const struct settings *settings)
{
    return settings->revoke_subject || settings->revoke_token;
}

static const char *revoke_problem_of(const struct settings *settings, int argc)
{
    if (argc > 0 || publishes(settings) || settings->install || settings->position)
        return "--revoke-subject and --revoke-token publish nothing; use them alone";
    if (settings->revoke_subject && settings->revoke_token)
        return "--revoke-subject and --revoke-token: one at a time";
    if (settings->revoke_for != OPTION_UNSET && settings->until != OPTION_UNSET)
        return "--for and --until: one of the two";
    return NULL;
}

bool settings_offset(const char *text, uint64_t *offset)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *offset = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 && *offset <= OFFSET_MAX;
}

static const char *lines_problem(const struct settings *settings)
{
    if (settings->coalesce != OPTION_UNSET && !(settings->lines && settings->durable))
        return "--coalesce gathers lines that are durable events; add --lines and --durable";
    return NULL;
}

static const char *durable_problem(const struct settings *settings)
{
    uint64_t offset;
    if (settings->after && !settings_offset(settings->after, &offset))
        return "--after: to publish, give the offset of the channel's last event alone: 17 of the id "
               "1732736096000.17, 0 for none";
    if (settings->key && (*settings->key == '\0' || strlen(settings->key) > KEY_MAX))
        return "--key: a key has 1 to 256 bytes";
    if (settings->key && settings->lines)
        return "--key is of one event, and only those of the newest 256 are known; with --lines, --after N "
               "keeps "
               "lines from being published twice";
    return lines_problem(settings);
}

static const char *position_problem(const struct settings *settings, int argc)
{
    if (publishes(settings) || settings->install)
        return "--position publishes nothing; give it channels alone";
    if (argc == 0)
        return "--position: CHANNEL is missing; write sse-publish --position CHANNEL...";
    if (argc > POSITION_CHANNELS_MAX)
        return "--position: 512 channels at most";
    return NULL;
}

static const char *publish_problem(const struct settings *settings, int argc)
{
    if (revokes(settings))
        return revoke_problem_of(settings, argc);
    if (settings->revoke_for != OPTION_UNSET || settings->until != OPTION_UNSET)
        return "--for and --until are for --revoke-subject and --revoke-token";
    if (settings->position)
        return position_problem(settings, argc);
    if (settings->install)
        return argc > 0 || publishes(settings) ? "--install publishes nothing; use it alone" : NULL;
    if (argc == 0)
        return "CHANNEL is missing; write sse-publish CHANNEL [DATA], or see --help";
    if (argc > 2)
        return "more than CHANNEL and DATA; put quotes around DATA that has blanks";
    if (settings->trace && settings->lines)
        return "--trace follows one event; leave --lines out";
    if (settings->durable && settings->id)
        return "--id: a durable event gets its id in Redis; leave --id out";
    if (!settings->durable && keeps(settings))
        return "--keep, --keep-for and --keep-bytes are for durable events; add --durable";
    if (!settings->durable && is_special(settings))
        return "--end, --snapshot, --key and --after are for durable events; add --durable";
    return settings->durable ? durable_problem(settings) : lines_problem(settings);
}

// For an option of the command line, which has no default.
static bool is_given(const struct option_spec *spec, const struct settings *settings)
{
    const char *value = (const char *)settings + spec->offset;
    if (spec->type == OPTION_FLAG)
        return *(const bool *)value;
    if (spec->type == OPTION_STRING)
        return *(char *const *)value != NULL;
    return *(const uint64_t *)value != OPTION_UNSET;
}

static unsigned uses_of(const struct option_spec *spec)
{
    for (size_t i = 0; i < sizeof option_uses / sizeof option_uses[0]; i++) {
        if (strcmp(option_uses[i].name, spec->name) == 0)
            return option_uses[i].uses;
    }
    return USE_PUBLISH;
}

// NULL, or an option that was given and is not for `use`.
static const char *misplaced(const struct settings *settings, enum use use)
{
    for (size_t i = 0; i < settings_table.count; i++) {
        const struct option_spec *spec = &settings_table.specs[i];
        if ((spec->properties & OPTION_COMMAND_LINE) && is_given(spec, settings) && !(uses_of(spec) & use))
            return spec->name;
    }
    return NULL;
}

#define ELSE_BEHIND "; to publish to a channel of that name, put -- before it: sse-publish -- "

bool settings_check(const struct settings *settings, enum use use, int argc, struct failure *failure)
{
    const char *option = misplaced(settings, use), *problem;
    const struct option_command *command = settings_table.commands;
    const struct command_rule *rule = settings_rules;
    if (use == USE_PUBLISH && option)
        return failure_set(
            failure, "--%s is not for publishing; sse-publish --help says which command it is for", option);
    if (use == USE_PUBLISH) {
        problem = publish_problem(settings, argc);
        return problem == NULL || failure_set(failure, "%s", problem);
    }
    while (rule->use != use) {
        rule++;
        command++;
    }
    if (option)
        return failure_set(failure, "\"%s\" is a command, and --%s is not for it" ELSE_BEHIND "%s",
                           command->name, option, command->name);
    if (argc < rule->operands_min || argc > rule->operands_max)
        return failure_set(failure, "\"%s\" is a command; write sse-publish %s%s%s" ELSE_BEHIND "%s",
                           command->name, command->name, *command->operands ? " " : "", command->operands,
                           command->name);
    return true;
}
