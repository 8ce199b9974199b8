#include "publisher-cli/history_print.h"

#include "publisher-cli/shown.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define TIME_SIZE 40

// RFC 3339, in UTC.
static const char *time_text(uint64_t ms, char text[TIME_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    size_t len = 0;
    if (gmtime_r(&seconds, &parts))
        len = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, TIME_SIZE - len, ".%03uZ", (unsigned)(ms % 1000));
    return text;
}

static void print_ttl(int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 0)
        printf("without an end");
    else if (s >= 86400)
        printf("for %" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        printf("for %" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        printf("for %" PRId64 "m %" PRId64 "s", s / 60, s % 60);
}

static void print_bound(const char *name, const struct history_id *id, uint64_t ms)
{
    char text[TIME_SIZE];
    printf("%s %" PRIu64 ".%" PRIu64 " of %s\n", name, id->epoch, id->offset, time_text(ms, text));
}

static void begin_for_person(const char *channel, const struct history_state *state)
{
    if (state->length == 0) {
        printf("%s: nothing is kept\n", channel);
        return;
    }
    printf("%s: %" PRIu64 " event%s", channel, state->length, state->length == 1 ? "" : "s");
    if (state->bytes >= 0)
        printf(", %" PRId64 " bytes of Redis' memory", state->bytes);
    printf(", kept ");
    print_ttl(state->ttl_ms);
    printf(state->has_ended ? "; it has ended\n" : " unless more come\n");
    print_bound("oldest", &state->oldest, state->oldest_ms);
    print_bound("newest", &state->newest, state->newest_ms);
}

static void json_number(const char *name, int64_t number)
{
    if (number >= 0)
        printf(",\"%s\":%" PRId64, name, number);
    else
        printf(",\"%s\":null", name);
}

static void json_id(const char *name, const struct history_id *id)
{
    if (id->offset > 0)
        printf(",\"%s\":\"%" PRIu64 ".%" PRIu64 "\"", name, id->epoch, id->offset);
    else
        printf(",\"%s\":null", name);
}

// The names of channels hold nothing that JSON would escape.
void history_print_begin(const struct history_printer *printer, const char *channel,
                         const struct history_state *state)
{
    if (!printer->json) {
        begin_for_person(channel, state);
        return;
    }
    printf("{\"channel\":\"%s\"", channel);
    json_number("length", (int64_t)state->length);
    json_number("bytes", state->bytes);
    json_number("ttl_ms", state->ttl_ms);
    json_number("epoch", state->length > 0 ? (int64_t)state->newest.epoch : -1);
    json_id("oldest", &state->oldest);
    json_id("newest", &state->newest);
    printf(",\"ended\":%s", state->has_ended ? "true" : "false");
    printf(",\"events\":[");
}

static void entry_as_json(const struct history_printer *printer, const struct history_entry *entry)
{
    char text[TIME_SIZE];
    printf(
        "%s{\"id\":\"%" PRIu64 ".%" PRIu64 "\",\"time\":\"%s\",\"event\":", printer->printed > 0 ? "," : "",
        entry->id.epoch, entry->id.offset, time_text(entry->time_ms, text));
    shown_json(stdout, entry->event.len ? entry->event.bytes : "message",
               entry->event.len ? entry->event.len : 7);
    if (entry->retry.len > 0)
        printf(",\"retry\":%.*s", (int)entry->retry.len, entry->retry.bytes);
    printf(",\"data\":");
    shown_json(stdout, entry->data.bytes, entry->data.len);
    if (entry->key.len > 0) {
        printf(",\"key\":");
        shown_json(stdout, entry->key.bytes, entry->key.len);
    }
    if (entry->is_snapshot)
        printf(",\"snapshot\":true");
    if (entry->end_s > 0)
        printf(",\"end\":%" PRIu64, entry->end_s);
    putchar('}');
}

static void print_extras(const struct history_entry *entry)
{
    if (entry->retry.len > 0) {
        printf("  retry ");
        shown_text(stdout, entry->retry.bytes, entry->retry.len);
    }
    if (entry->key.len > 0) {
        printf("  key ");
        shown_text(stdout, entry->key.bytes, entry->key.len);
    }
    if (entry->is_snapshot)
        printf("  snapshot");
    if (entry->end_s > 0)
        printf("  end");
}

void history_print_entry(struct history_printer *printer, const struct history_entry *entry)
{
    char text[TIME_SIZE];
    if (printer->json) {
        entry_as_json(printer, entry);
    } else {
        printf("%s%" PRIu64 ".%" PRIu64 "  %s  ", printer->printed == 0 ? "\n" : "", entry->id.epoch,
               entry->id.offset, time_text(entry->time_ms, text));
        shown_text(stdout, entry->event.len ? entry->event.bytes : "message",
                   entry->event.len ? entry->event.len : 7);
        print_extras(entry);
        printf("  ");
        shown_text(stdout, entry->data.bytes, entry->data.len);
        putchar('\n');
    }
    printer->printed++;
}

void history_print_end(const struct history_printer *printer)
{
    if (printer->json)
        printf("]}\n");
}
