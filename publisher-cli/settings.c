#include "publisher-cli/settings.h"

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    REDIS_OPTIONS(settings, redis),
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
    {.name = "gateways",
     .group = "The tier",
     .type = OPTION_FLAG,
     .properties = OPTION_COMMAND_LINE,
     AT(gateways),
     .help = "Listen for 2.5 seconds to what gateways announce of themselves, print them, and exit"},
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

const struct option_table settings_table = {
    .program = "sse-publish",
    .synopsis = "[OPTION]... CHANNEL [DATA|-]",
    .purpose = "Publishes DATA, or standard input, as one event to all who stream CHANNEL, and prints how "
               "many gateways "
               "received it.",
    .prefix = "SSE_PUBLISH_",
    .epilogue = "Exit status: 0 published, 1 Redis refused or could not be reached, 2 wrong usage or input.",
    .specs = specs,
    .count = sizeof(specs) / sizeof(specs[0]),
};

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

const char *settings_problem(const struct settings *settings, int argc)
{
    if (settings->gateways)
        return argc > 0 || publishes(settings) || settings->install || revokes(settings)
                   ? "--gateways publishes nothing; use it alone"
                   : NULL;
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
