// The output of sse-publish: on success for a person or (--json) for a program, on failure for a person.
#pragma once

#include "publisher-cli/gateways.h"
#include "publisher-cli/install.h"
#include "publisher-cli/publish.h"
#include "publisher-cli/settings.h"
#include "publisher-cli/trace.h"

void report_one(const struct settings *settings, const char *channel, const struct publisher_totals *totals);
void report_lines(const struct settings *settings, const char *channel,
                  const struct publisher_totals *totals);
// `version` is the one that was there before, -1 for none; `server` names one of several masters, else NULL.
void report_install(const struct settings *settings, const char *server, enum install_result result,
                    long long version);

// `name` of a user or a token is refused until `until_s` (Unix time).
void report_revocation(const struct settings *settings, const char *name, uint64_t until_s,
                       uint64_t receivers);

// The event was published, but `reason` kept its reports from being heard.
void report_unheard(const char *reason);
// Where the event of `trace` went, and how long that took.
void report_trace(const struct settings *settings, const char *channel, const struct publisher_totals *totals,
                  const struct trace *trace);

// A table of the gateways, or one JSON object.
void report_gateways(const struct settings *settings, const struct gateways *gateways);

// `reason` in one line, with the event or the lines that it is about.
void report_failure(const struct settings *settings, const char *reason,
                    const struct publisher_totals *totals);
// After a failure with --lines: what was published nevertheless.
void report_confirmed(const struct publisher_totals *totals);
