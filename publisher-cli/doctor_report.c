#include "publisher-cli/doctor_report.h"

#include "publisher-cli/http_stream.h"
#include "publisher-cli/shown.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void doctor_say(struct doctor_report *report, enum doctor_check check, enum doctor_verdict verdict,
                const char *format, ...)
{
    struct doctor_result *result = &report->results[check];
    va_list args;
    result->verdict = verdict;
    va_start(args, format);
    (void)vsnprintf(result->seen, sizeof result->seen, format, args); // cut, or the formats of our own wrong
    va_end(args);
}

unsigned doctor_findings(const struct doctor_report *report)
{
    unsigned count = 0;
    for (int i = 0; i < CHECK_COUNT; i++)
        count += report->results[i].verdict == VERDICT_FINDING;
    return count;
}

static const char *word_of(enum doctor_verdict verdict)
{
    static const char *const words[] = {[VERDICT_NOT_TRIED] = "not tried",
                                        [VERDICT_OK] = "ok",
                                        [VERDICT_NOTE] = "note",
                                        [VERDICT_FINDING] = "finding"};
    return words[verdict];
}

static void print_change(const struct doctor_advice *advice, enum doctor_front front)
{
    printf("             %s: %s\n", doctor_front_names[front], advice->change[front]);
}

// The front that answered first, then the others: there may be several in a row.
static void print_advice(const struct doctor_report *report, const struct doctor_advice *advice)
{
    printf("           why: %s\n           what to change:\n", advice->why);
    if (report->front < FRONT_COUNT)
        print_change(advice, report->front);
    for (enum doctor_front front = 0; front < FRONT_COUNT; front++) {
        if (front != report->front)
            print_change(advice, front);
    }
}

static void print_for_person(const struct doctor_report *report)
{
    shown_text(stdout, report->url, (size_t)http_url_shown(report->url));
    printf(", channel %s", report->channel);
    if (report->server[0]) {
        printf(", Server: ");
        shown_text(stdout, report->server, strlen(report->server));
    }
    printf("\n\n");
    for (int i = 0; i < CHECK_COUNT; i++) {
        const struct doctor_result *result = &report->results[i];
        printf("%-9s  %s: ", word_of(result->verdict), doctor_advice[i].name);
        shown_text(stdout, result->seen, strlen(result->seen));
        putchar('\n');
        if (result->verdict == VERDICT_FINDING)
            print_advice(report, &doctor_advice[i]);
    }
    printf("\n%u finding%s\n", doctor_findings(report), doctor_findings(report) == 1 ? "" : "s");
}

static void json_text(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    shown_json(stdout, text, strlen(text));
}

static void print_check_as_json(const struct doctor_report *report, int check)
{
    const struct doctor_result *result = &report->results[check];
    const struct doctor_advice *advice = &doctor_advice[check];
    printf("%s{\"check\":\"%s\",\"verdict\":\"%s\"", check > 0 ? "," : "", advice->name,
           word_of(result->verdict));
    json_text("seen", result->seen);
    if (result->verdict == VERDICT_FINDING) {
        json_text("why", advice->why);
        printf(",\"change\":{");
        for (int front = 0; front < FRONT_COUNT; front++) {
            printf("%s\"%s\":", front > 0 ? "," : "", doctor_front_names[front]);
            shown_json(stdout, advice->change[front], strlen(advice->change[front]));
        }
        putchar('}');
    }
    putchar('}');
}

void doctor_print(const struct doctor_report *report, bool json)
{
    if (!json) {
        print_for_person(report);
        return;
    }
    printf("{\"findings\":%u", doctor_findings(report));
    printf(",\"url\":");
    shown_json(stdout, report->url, (size_t)http_url_shown(report->url));
    json_text("channel", report->channel);
    json_text("server", report->server);
    if (report->front < FRONT_COUNT)
        json_text("front", doctor_front_names[report->front]);
    printf(",\"checks\":[");
    for (int i = 0; i < CHECK_COUNT; i++)
        print_check_as_json(report, i);
    printf("]}\n");
}
