#include "publisher-cli/durable.h"

#include "common/function_library.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define DATA "a\0b" // lengths count, not terminators
#define SCRIPT "EVALSHA SHA 1 sse:{n} DATA"

static const struct {
    struct durable_settings settings;
    bool by_script, sharded;
    const char *expected; // words; DATA stands for the data, "" for an empty one
} commands[] = {
    {{0}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\""},
    {{.event = "order"}, false, false, "FCALL sse_publish 1 sse:{n} DATA order \"\""},
    {{.event = "", .has_retry = true}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" 0"},
    {{.has_retry = true, .retry_ms = UINT32_MAX}, true, false, SCRIPT " \"\" 4294967295"},
    {{.keep = 1}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" maxlen 1"},
    {{.keep_for_ms = 1001}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" maxage 2"},
    {{.keep_for_ms = 2000}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" maxage 2"},
    {{.pubsub = "classic"}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" pubsub classic"},
    {{.pubsub = "classic"}, true, true, SCRIPT " \"\" \"\" pubsub classic"},
    {{"e", true, 5, 1000000000, 1000000000000, NULL, NULL, NULL},
     true,
     true,
     SCRIPT " e 5 maxlen 1000000000 maxage 1000000000 pubsub sharded"},
    {{"e", true, 5, 1000000000, 1000000000000, NULL, "00-1", "sse:trace:2"},
     false,
     true,
     "FCALL sse_publish 1 sse:{n} DATA e 5 maxlen 1000000000 maxage 1000000000 pubsub sharded traceparent "
     "00-1 trace-to sse:trace:2"},
};

static void write_words(char *out, size_t size, const struct command *command)
{
    size_t used = 0;

    for (int i = 0; i < command->argc; i++) {
        const char *arg = command->argv[i],
                   *word = strcmp(arg, function_library_script_sha1) == 0 ? "SHA" : arg;

        if (command->lengths[i] == sizeof(DATA) - 1 && memcmp(arg, DATA, sizeof(DATA) - 1) == 0)
            word = "DATA";
        else
            ck_assert_uint_eq(command->lengths[i], strlen(arg));
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " " : "", *word ? word : "\"\"");
    }
}

TEST_EACH(a_command_says_what_was_set, commands)
{
    struct durable durable;
    struct command command;
    char words[512];

    durable_init(&durable, "n", &commands[_i].settings);
    durable.by_script = commands[_i].by_script;
    durable.sharded = commands[_i].sharded;
    durable_command(&durable, (struct span){DATA, sizeof(DATA) - 1}, &command);
    write_words(words, sizeof(words), &command);
    ck_assert_str_eq(words, commands[_i].expected);
}

static const struct {
    int type;
    char *text;
    bool unknown;
} answers[] = {
    {REDIS_REPLY_ERROR, "ERR Function not found", true},
    {REDIS_REPLY_ERROR, "NOSCRIPT No matching script. Please use EVAL.", true},
    {REDIS_REPLY_ERROR, "ERR sse_publish: the channel name is empty", false},
    {REDIS_REPLY_ERROR, "NOPERM this user has no permissions to run the 'fcall' command", false},
    {REDIS_REPLY_STRING, "NOSCRIPT", false},
};

TEST_EACH(a_server_that_lacks_the_function_is_known, answers)
{
    redisReply reply = {.type = answers[_i].type, .str = answers[_i].text, .len = strlen(answers[_i].text)};

    ck_assert_int_eq(durable_unknown(&reply), answers[_i].unknown);
}
