#include "publisher-cli/settings.h"

#include <string.h>

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    REDIS_OPTIONS(settings, redis, .default_note = REDIS_DEFAULT_URL),
    {.name = "timeout",
     .type = OPTION_DURATION,
     AT(timeout),
     .default_text = "5s",
     .min = 1,
     .max = 3600000,
     .help = "How long to wait for a connection, and for each answer"},
    {.name = "event",
     .group = "Event",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(event),
     .help = "Name of the event; a browser hears it with addEventListener(NAME, ...)"},
    {.name = "id",
     .argument = "ID",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(id),
     .help = "Id of the event"},
    {.name = "retry",
     .argument = "MS",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(retry),
     .max = UINT32_MAX,
     .help = "Tell clients to wait so many milliseconds before they reconnect"},
    {.name = "trace",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(trace),
     .help =
         "Follow the event: print which gateways delivered it, to how many streams, and how long that took"},
    {.name = "trace-timeout",
     .type = OPTION_DURATION,
     AT(trace_timeout),
     .default_text = "2s",
     .min = 1,
     .max = 60000,
     .help = "How long to wait for the gateways' reports"},
    {.name = "durable",
     .group = "Durable events",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(durable),
     .help = "Keep the event in its channel's history, so that a client that was away gets it later"},
    {.name = "keep",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(keep),
     .min = 1,
     .max = 1000000000,
     .default_note = "1000",
     .help = "How many events of the channel to keep"},
    {.name = "keep-for",
     .type = OPTION_DURATION,
     .properties = OPTION_COMMAND_LINE,
     AT(keep_for),
     .min = 1000,
     .max = UINT64_C(1000000000000),
     .default_note = "24h",
     .help = "How long to keep them"},
    {.name = "install",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(install),
     .help = "Load the functions for durable events into Redis, where they are missing or older, and exit"},
    {.name = "after",
     .argument = "ID",
     .group = "Histories and streams",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(after),
     .help = "history: only events after this one"},
    {.name = "count",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(count),
     .min = 1,
     .max = 1000000000,
     .default_note = "all",
     .help = "history: only the newest N events, with --after the first N; subscribe: end after N events"},
    {.name = "url",
     .argument = "URL",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(url),
     .default_note = SUBSCRIBE_DEFAULT_URL,
     .help = "subscribe: the stream of a gateway, or of what stands before it"},
    {.name = "last-event-id",
     .argument = "ID",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(last_event_id),
     .help = "subscribe: go on behind this event; earliest: begin with all that is kept"},
    {.name = "token-file",
     .argument = "FILE",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(token_file),
     .help = "subscribe, doctor: file with the token to show, read again for each connection"},
    {.name = "ticket",
     .argument = "TICKET",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(ticket),
     .help = "subscribe: a ticket in place of a token; it opens one stream"},
    {.name = "cacert",
     .argument = "FILE",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(cacert),
     .default_note = "what the system trusts",
     .help = "subscribe, doctor: certificates (PEM) of the CAs that may vouch for an https:// server"},
    {.name = "idle",
     .argument = "TIME",
     .type = OPTION_DURATION,
     .properties = OPTION_COMMAND_LINE,
     AT(idle),
     .min = 100,
     .max = 3600000,
     .default_note = "70s",
     .help = "subscribe: reconnect where nothing came for that long, not even a heartbeat; doctor: look "
             "that long at a quiet stream"},
    {.name = "channel",
     .argument = "CHANNEL",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(channel),
     .default_note = "doctor",
     .help = "doctor: the channel to ask for, and with --redis to publish to"},
    {.name = "origin",
     .argument = "ORIGIN",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(origin),
     .help = "doctor: the origin of a page that is to read the stream: https://app.example.com"},
    {.name = "revoke-subject",
     .argument = "SUB",
     .group = "Revoking",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(revoke_subject),
     .help =
         "End the open streams of this user (the claim sub of its tokens), refuse the tokens that it has by "
         "now, and exit"},
    {.name = "revoke-token",
     .argument = "JTI",
     .type = OPTION_STRING,
     .properties = OPTION_COMMAND_LINE,
     AT(revoke_token),
     .help = "The same for one token (its claim jti)"},
    {.name = "for",
     .argument = "TIME",
     .type = OPTION_DURATION,
     .properties = OPTION_COMMAND_LINE,
     AT(revoke_for),
     .min = 1000,
     .max = UINT64_C(1000000000000),
     .default_note = "24h",
     .help = "How long they are refused: no less than tokens last"},
    {.name = "until",
     .argument = "UNIXTIME",
     .type = OPTION_UINT,
     .properties = OPTION_COMMAND_LINE,
     AT(until),
     .max = UINT64_C(100000000000),
     .help = "Until when they are refused, in place of --for"},
    {.name = "lines",
     .group = "Input and output",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(lines),
     .help = "Each line of standard input is one event, sent as soon as it is read"},
    {.name = "max-message",
     .type = OPTION_SIZE,
     AT(max_message),
     .default_text = "1MiB",
     .min = 1,
     .max = 512u << 20,
     .help = "What the gateways' --max-message is; a larger message is published with a warning"},
    {.name = "json",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(json),
     .help = "Print the result as one JSON object"},
    {.name = "help",
     .letter = 'h',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(help),
     .help = "Print this and exit"},
    {.name = "version",
     .letter = 'V',
     .type = OPTION_FLAG,
     .properties = OPTION_ENDS,
     AT(version),
     .help = "Print the version and exit"},
};

#define PROGRAM "sse-publish"
// Of each command: its word, its operands and how many of them it takes.
#define COMMANDS(COMMAND)                                                                                    \
    COMMAND("doctor", USE_DOCTOR, "URL", 1, 1,                                                               \
            "Say what between here and a gateway harms event streams, and what to change")                   \
    COMMAND("gateways", USE_GATEWAYS, "", 0, 0,                                                              \
            "Listen for 2.5 seconds to what gateways announce of themselves, and print it")                  \
    COMMAND("history", USE_HISTORY, "CHANNEL", 1, 1, "Print what is kept of the channel's durable events")   \
    COMMAND("subscribe", USE_SUBSCRIBE, "CHANNEL...", 1, 1024,                                               \
            "Print the events of a stream, and go on with the last id where it ends")

#define AS_COMMAND(word, use, operands, min, max, help) {word, operands, help},
static const struct option_command commands[] = {COMMANDS(AS_COMMAND)};

#define AS_RULE(word, use, operands, min, max, help) {use, min, max},
static const struct {
    enum use use;
    int operands_min, operands_max;
} rules[] = {COMMANDS(AS_RULE)};

// Options of the command line that are not for publishing alone.
static const struct {
    const char *name;
    unsigned uses;
} option_uses[] = {
    {"json", USE_PUBLISH | USE_GATEWAYS | USE_HISTORY | USE_SUBSCRIBE | USE_DOCTOR},
    {"after", USE_HISTORY},
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

const struct option_table settings_table = {
    .program = PROGRAM,
    .synopsis = "[OPTION]... CHANNEL [DATA|-]\n       " PROGRAM " [OPTION]... COMMAND [ARGUMENT]...",
    .purpose = "Publishes DATA, or standard input, as one event to all who stream CHANNEL, and prints how "
               "many gateways received it. A CHANNEL that has the name of a command is written behind "
               "\"--\".",
    .prefix = "SSE_PUBLISH_",
    .epilogue =
        "Exit status: 0 done, 1 Redis or the gateway refused or could not be reached, or doctor found "
        "something, 2 wrong usage or input.",
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
    .specs = specs,
    .count = sizeof(specs) / sizeof(specs[0]),
};

enum use settings_use(const char *word)
{
    for (size_t i = 0; word && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(word, commands[i].name) == 0)
            return rules[i].use;
    }
    return USE_PUBLISH;
}

// True where an option says how to publish.
static bool publishes(const struct settings *settings)
{
    return settings->durable || settings->lines || settings->trace || settings->event || settings->id ||
           settings->retry != OPTION_UNSET || settings->keep != OPTION_UNSET ||
           settings->keep_for != OPTION_UNSET;
}

static bool revokes(const struct settings *settings)
{
    return settings->revoke_subject || settings->revoke_token;
}

static const char *revoke_problem_of(const struct settings *settings, int argc)
{
    if (argc > 0 || publishes(settings) || settings->install)
        return "--revoke-subject and --revoke-token publish nothing; use them alone";
    if (settings->revoke_subject && settings->revoke_token)
        return "--revoke-subject and --revoke-token: one at a time";
    if (settings->revoke_for != OPTION_UNSET && settings->until != OPTION_UNSET)
        return "--for and --until: one of the two";
    return NULL;
}

static const char *publish_problem(const struct settings *settings, int argc)
{
    if (revokes(settings))
        return revoke_problem_of(settings, argc);
    if (settings->revoke_for != OPTION_UNSET || settings->until != OPTION_UNSET)
        return "--for and --until are for --revoke-subject and --revoke-token";
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
    if (!settings->durable && (settings->keep != OPTION_UNSET || settings->keep_for != OPTION_UNSET))
        return "--keep and --keep-for are for durable events; add --durable";
    return NULL;
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
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        if ((specs[i].properties & OPTION_COMMAND_LINE) && is_given(&specs[i], settings) &&
            !(uses_of(&specs[i]) & use))
            return specs[i].name;
    }
    return NULL;
}

#define ELSE_BEHIND "; to publish to a channel of that name, put -- before it: " PROGRAM " -- "

bool settings_check(const struct settings *settings, enum use use, int argc, struct failure *failure)
{
    const char *option = misplaced(settings, use), *problem;
    size_t i = 0;
    if (use == USE_PUBLISH && option)
        return failure_set(
            failure, "--%s is not for publishing; " PROGRAM " --help says which command it is for", option);
    if (use == USE_PUBLISH) {
        problem = publish_problem(settings, argc);
        return problem == NULL || failure_set(failure, "%s", problem);
    }
    while (rules[i].use != use)
        i++;
    if (option)
        return failure_set(failure, "\"%s\" is a command, and --%s is not for it" ELSE_BEHIND "%s",
                           commands[i].name, option, commands[i].name);
    if (argc < rules[i].operands_min || argc > rules[i].operands_max)
        return failure_set(failure, "\"%s\" is a command; write " PROGRAM " %s%s%s" ELSE_BEHIND "%s",
                           commands[i].name, commands[i].name, *commands[i].operands ? " " : "",
                           commands[i].operands, commands[i].name);
    return true;
}
