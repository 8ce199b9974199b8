// What `sse-publish doctor` has found out: one result for each check.
#pragma once

#include <stdbool.h>

// The order is that of the output.
enum doctor_check {
    CHECK_REACHABLE,
    CHECK_GATEWAY,
    CHECK_ERRORS,
    CHECK_REDIRECT,
    CHECK_CONTENT_TYPE,
    CHECK_COMPRESSION,
    CHECK_CACHING,
    CHECK_BUFFERING,
    CHECK_IDLE,
    CHECK_LAST_EVENT_ID,
    CHECK_CORS,
    CHECK_METHODS,
    CHECK_HTTP_VERSION,
    CHECK_CERTIFICATE,
    CHECK_COUNT,
};

enum doctor_verdict {
    VERDICT_NOT_TRIED, // `seen` says why
    VERDICT_OK,
    VERDICT_NOTE, // worth knowing; harms no stream by itself
    VERDICT_FINDING,
};

// What advice there is for.
enum doctor_front { FRONT_NGINX, FRONT_HAPROXY, FRONT_CADDY, FRONT_ALB, FRONT_CLOUDFLARE, FRONT_COUNT };

struct doctor_result {
    enum doctor_verdict verdict;
    char seen[512];
};

struct doctor_report {
    const char *url, *channel; // borrowed; the URL is printed without its query
    char server[64];           // field Server of the answer; "" where there is none
    enum doctor_front front;   // FRONT_COUNT: not known
    struct doctor_result results[CHECK_COUNT];
};

// What is known of a check: constant texts.
struct doctor_advice {
    const char *name, *why;
    const char *change[FRONT_COUNT];
};

extern const struct doctor_advice doctor_advice[CHECK_COUNT];
extern const char *const doctor_front_names[FRONT_COUNT];

void doctor_say(struct doctor_report *report, enum doctor_check check, enum doctor_verdict verdict,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
unsigned doctor_findings(const struct doctor_report *report);
// For a person, or one JSON object.
void doctor_print(const struct doctor_report *report, bool json);
