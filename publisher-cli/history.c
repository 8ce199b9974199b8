#include "publisher-cli/history.h"

#include "common/pattern.h"
#include "publisher-cli/channel.h"
#include "publisher-cli/history_print.h"
#include "publisher-cli/keyed.h"
#include "publisher-cli/target.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <string.h>

// Entries that one answer of Redis holds at most: what bounds memory.
#define PAGE 64
#define PAGE_TEXT "64"
#define STREAM_ID_SIZE 48

struct history {
    const struct settings *settings;
    const char *channel;
    char key[CHANNEL_NAME_MAX + 8];
    struct redis_url url;
    struct redis_target target;
    struct connection *connection; // NULL: none yet, or lost
    struct history_state state;
    struct history_printer printer;
    struct failure failure;
};

static struct redisReply *ask(struct history *history, const char *const *words)
{
    return keyed_ask(&history->target, &history->connection, words, &history->failure);
}

static bool refuse(struct history *history, const struct redisReply *reply)
{
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    bool is_denied = is_error && strncmp(reply->str, "NOPERM", 6) == 0;
    return connection_refused(
        history->connection, is_error ? reply->str : "its answer makes no sense",
        is_denied ? "; the ACL of this user must allow it: +xrange +xrevrange +xlen +pttl %R~sse:{CHANNEL}"
                  : NULL,
        &history->failure);
}

static bool ask_number(struct history *history, const char *const *words, int64_t *number)
{
    struct redisReply *reply = ask(history, words);
    bool ok = reply && (reply->type == REDIS_REPLY_INTEGER || refuse(history, reply));
    if (ok)
        *number = reply->integer;
    freeReplyObject(reply);
    return ok;
}

// A right that a reader may lack.
static bool ask_bytes(struct history *history)
{
    const char *words[] = {"MEMORY", "USAGE", history->key, NULL};
    struct redisReply *reply = ask(history, words);
    history->state.bytes = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    return reply != NULL;
}

static bool read_entry(struct history *history, const struct redisReply *reply, struct history_entry *entry)
{
    return history_entry_read(reply, entry) ||
           failure_set(&history->failure, "the stream %s holds entries that sse_publish did not write",
                       history->key);
}

// The entry at one end; its id stays 0.0 where there is none.
static bool ask_end(struct history *history, bool is_newest, struct history_id *id, uint64_t *ms)
{
    const char *words[] = {is_newest ? "XREVRANGE" : "XRANGE",
                           history->key,
                           is_newest ? "+" : "-",
                           is_newest ? "-" : "+",
                           "COUNT",
                           "1",
                           NULL};
    struct redisReply *reply = ask(history, words);
    struct history_entry entry = {0};
    bool ok = reply && (reply->type == REDIS_REPLY_ARRAY || refuse(history, reply)) &&
              (reply->elements == 0 || read_entry(history, reply->element[0], &entry));
    if (ok) {
        *id = entry.id;
        *ms = entry.time_ms;
        history->state.has_ended = is_newest && entry.end_s > 0;
    }
    freeReplyObject(reply);
    return ok;
}

static bool ask_state(struct history *history)
{
    struct history_state *state = &history->state;
    int64_t length;
    if (!ask_number(history, (const char *[]){"XLEN", history->key, NULL}, &length))
        return false;
    state->length = (uint64_t)length;
    state->bytes = state->ttl_ms = -1;
    return length == 0 ||
           (ask_number(history, (const char *[]){"PTTL", history->key, NULL}, &state->ttl_ms) &&
            ask_bytes(history) && ask_end(history, false, &state->oldest, &state->oldest_ms) &&
            ask_end(history, true, &state->newest, &state->newest_ms));
}

// One page after or before `from`, which becomes the id of its last entry. Calls `visit` with each entry. False on
// failure; `*count` is how many there were.
static bool read_page(struct history *history, bool backward, const char *page, char from[STREAM_ID_SIZE],
                      size_t *count, void (*visit)(struct history *, const struct history_entry *))
{
    const char *words[] = {
        backward ? "XREVRANGE" : "XRANGE", history->key, from, backward ? "-" : "+", "COUNT", page, NULL};
    struct redisReply *reply = ask(history, words);
    bool ok = reply && (reply->type == REDIS_REPLY_ARRAY || refuse(history, reply));
    struct history_entry entry;
    *count = 0;
    for (size_t i = 0; ok && i < reply->elements; i++) {
        ok = read_entry(history, reply->element[i], &entry);
        if (ok && visit)
            visit(history, &entry);
    }
    if (ok && reply->elements > 0)
        snprintf(from, STREAM_ID_SIZE, "(%s", entry.stream_id);
    *count = ok ? reply->elements : 0;
    freeReplyObject(reply);
    return ok;
}

static const char *page_of(uint64_t left, char text[24])
{
    snprintf(text, 24, "%" PRIu64, left < PAGE ? left : PAGE);
    return text;
}

// Where the newest `count` entries begin: goes back from the end, and then one more, which is the one before them.
static bool find_newest(struct history *history, uint64_t count, char from[STREAM_ID_SIZE])
{
    char back[STREAM_ID_SIZE] = "+", page[24];
    for (uint64_t left = count + 1; left > 0;) {
        size_t found;
        if (!read_page(history, true, page_of(left, page), back, &found, NULL))
            return false;
        if (found == 0)
            return true; // there are fewer: all of them
        left -= found;
    }
    memcpy(from, back, STREAM_ID_SIZE);
    return true;
}

static void print_entry(struct history *history, const struct history_entry *entry)
{
    struct history_id after;
    // Checked by history_command. Offsets are dense, and grow with the stream's own ids.
    if (history->settings->after && history_id_read(history->settings->after, &after) &&
        entry->id.epoch == after.epoch && entry->id.offset <= after.offset)
        return;
    if (history->printer.printed < history->settings->count)
        history_print_entry(&history->printer, entry);
}

static bool print_entries(struct history *history)
{
    char from[STREAM_ID_SIZE] = "-";
    uint64_t count = history->settings->count;
    size_t found = history->state.length > 0;
    bool ok = count == OPTION_UNSET || history->settings->after || find_newest(history, count, from);
    while (ok && found > 0 && history->printer.printed < count && !ferror(stdout))
        ok = read_page(history, false, PAGE_TEXT, from, &found, print_entry);
    return ok;
}

// What --after names may be gone, with some of what followed it.
static void warn_of_hole(const struct history *history)
{
    const struct history_state *state = &history->state;
    struct history_id after;
    if (!history->settings->after || !history_id_read(history->settings->after, &after))
        return;
    if (state->length == 0 || after.epoch != state->newest.epoch || after.offset > state->newest.offset)
        fprintf(stderr,
                "sse-publish: warning: %s is not of this history; a client that resumes there gets a gap\n",
                history->settings->after);
    else if (after.offset + 1 < state->oldest.offset)
        fprintf(stderr,
                "sse-publish: warning: %" PRIu64 " events after %s are no longer kept; a client that resumes "
                "there gets a gap\n",
                state->oldest.offset - after.offset - 1, history->settings->after);
}

enum exit_status history_command(const struct settings *settings, int argc, char **argv)
{
    struct history history = {.settings = settings, .channel = argv[0], .printer.json = settings->json};
    struct history_id after;
    enum exit_status status = EXIT_DONE;
    (void)argc; // settings_check has counted
    if (settings->after && !history_id_read(settings->after, &after))
        return fail(EXIT_USAGE,
                    "--after: an id that sse-publish prints, as 1732736096000.17; what clients send as "
                    "Last-Event-ID is another one");
    if (!channel_check(history.channel, &history.failure))
        return fail(EXIT_USAGE, history.failure.text);
    snprintf(history.key, sizeof history.key, "sse:{%s}", history.channel);
    if (!target_init(settings, &history.url, &history.target, &history.failure))
        status = EXIT_USAGE;
    else if (!ask_state(&history))
        status = EXIT_REFUSED;
    if (status == EXIT_DONE) {
        warn_of_hole(&history);
        history_print_begin(&history.printer, history.channel, &history.state);
        status = print_entries(&history) ? EXIT_DONE : EXIT_REFUSED;
        history_print_end(&history.printer);
    }
    connection_close(history.connection);
    redis_url_deinit(&history.url);
    return status == EXIT_DONE ? EXIT_DONE : fail(status, history.failure.text);
}
