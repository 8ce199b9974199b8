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
    {{.keep_bytes = 4096}, false, false, "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" maxbytes 4096"},
    {{.key = "order 7", .is_snapshot = true},
     false,
     false,
     "FCALL sse_publish 1 sse:{n} DATA \"\" \"\" snapshot 1 key order 7"},
    {{.is_fenced = true, .end_ms = 1500}, true, false, SCRIPT " \"\" \"\" after 0 end 2"},
    {{.event = "e", .has_retry = true, .retry_ms = 5, .keep = 1000000000, .keep_for_ms = 1000000000000},
     true,
     true,
     SCRIPT " e 5 maxlen 1000000000 maxage 1000000000 pubsub sharded"},
    {{.event = "e",
      .has_retry = true,
      .retry_ms = 5,
      .keep = 1000000000,
      .keep_for_ms = 1000000000000,
      .traceparent = "00-1",
      .trace_to = "sse:trace:2"},
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
    struct span data = {DATA, sizeof(DATA) - 1};
    const struct durable_events events = {.datas = &data, .count = 1, .first = 1, .last = 1};
    durable_command(&durable, &events, &command);
    write_words(words, sizeof(words), &command);
    ck_assert_str_eq(words, commands[_i].expected);
}

static const struct {
    struct durable_settings settings;
    uint64_t first, last;
    const char *expected;
} batches[] = {
    {{.event = "token"}, 1, 0, "FCALL sse_append 1 sse:{n} 2 token DATA token DATA"},
    {{.keep = 5}, 9, 0, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA maxlen 5"},
    {{.is_fenced = true, .after = 100}, 1, 0, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA after 100"},
    {{.is_fenced = true, .after = 100}, 9, 0, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA after 108"},
    {{.end_ms = 7200000}, 1, 0, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA"},
    {{.end_ms = 7200000}, 1, 3, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA"},
    {{.end_ms = 7200000}, 2, 3, "FCALL sse_append 1 sse:{n} 2 \"\" DATA \"\" DATA end 7200"},
};

TEST_EACH(a_batch_goes_behind_the_one_before_and_the_last_one_ends, batches)
{
    struct durable durable;
    struct command command;
    char words[512];

    durable_init(&durable, "n", &batches[_i].settings);
    struct span datas[] = {{DATA, sizeof(DATA) - 1}, {DATA, sizeof(DATA) - 1}};
    const struct durable_events events = {
        .datas = datas, .count = 2, .first = batches[_i].first, .last = batches[_i].last};
    durable_command(&durable, &events, &command);
    write_words(words, sizeof(words), &command);
    ck_assert_str_eq(words, batches[_i].expected);
}

TEST(the_largest_batch_with_all_options_fits_a_command)
{
    const struct durable_settings settings = {.keep = 1,
                                              .keep_for_ms = 1000,
                                              .keep_bytes = 1,
                                              .end_ms = 1000,
                                              .key = "k",
                                              .is_fenced = true,
                                              .pubsub = "classic",
                                              .traceparent = "00-1",
                                              .trace_to = "sse:trace:2"};
    struct durable durable;
    struct command command;
    struct span datas[DURABLE_BATCH_MAX];

    for (size_t i = 0; i < DURABLE_BATCH_MAX; i++)
        datas[i] = (struct span){DATA, sizeof(DATA) - 1};
    durable_init(&durable, "n", &settings);
    ck_assert_uint_eq(durable_batch(&durable), DURABLE_BATCH_MAX);
    const struct durable_events events = {
        .datas = datas, .count = DURABLE_BATCH_MAX, .first = 1, .last = DURABLE_BATCH_MAX};
    durable_command(&durable, &events, &command);
    ck_assert_int_eq(command.argc, 5 + 2 * DURABLE_BATCH_MAX + 18);
}

// Of a command that takes one event: what is set, and what is known of the server.
static const struct {
    struct durable_settings settings;
    bool by_script, lacks_append;
} singles[] = {
    {{.has_retry = true}, false, false},
    {{.is_snapshot = true}, false, false},
    {{0}, true, false},
    {{0}, false, true},
};

TEST_EACH(what_sse_append_cannot_say_goes_one_by_one, singles)
{
    struct durable durable;

    durable_init(&durable, "n", &singles[_i].settings);
    durable.by_script = singles[_i].by_script;
    durable.lacks_append = singles[_i].lacks_append;
    ck_assert_uint_eq(durable_batch(&durable), 1);
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

static const struct {
    char *text;
    bool is_fenced, is_remedied;
} refusals[] = {
    {"FENCED sse_append: the last offset of the channel is 5, not 3", true, false},
    {"ERR sse_publish: there is no option \"end\", only maxlen", false, true},
    {"ERR sse_append: there is no option \"later\", only maxlen", false, true},
    {"NOPERM sse_publish: this user may not XADD", false, true},
    {"OOM command not allowed", false, false},
};

TEST_EACH(a_refusal_says_what_helps, refusals)
{
    redisReply reply = {
        .type = REDIS_REPLY_ERROR, .str = refusals[_i].text, .len = strlen(refusals[_i].text)};

    ck_assert_int_eq(durable_fenced(&reply), refusals[_i].is_fenced);
    ck_assert_int_eq(durable_remedy(&reply) != NULL, refusals[_i].is_remedied);
}
