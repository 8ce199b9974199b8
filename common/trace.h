// Fields of an envelope that follow one event through the tier: `traceparent` (W3C Trace Context, section 3.2.2) and
// `trace-to`, the channel at which gateways report its delivery. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TRACE_ID_LEN 32u // hexadecimal digits
#define TRACEPARENT_LEN 55u
#define TRACE_CHANNEL_PREFIX "sse:trace:"
#define TRACE_CHANNEL_LEN 42u // the prefix, and 32 digits

// Reads a traceparent: false where it is none. `id` gets the id of the trace, terminated; `*sampled` whether the
// caller records the trace. Of versions above 00 what is known from 00 is read, as the standard wants it.
bool trace_parent_parse(const char *text, size_t len, char id[TRACE_ID_LEN + 1], bool *sampled);
// True for TRACE_CHANNEL_PREFIX and 32 lower-case hexadecimal digits: no other channel gets a report.
bool trace_channel_valid(const char *text, size_t len);
