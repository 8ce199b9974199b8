// What an answer or a stream means: from what was seen to the results of `sse-publish doctor`.
#pragma once

#include "publisher-cli/doctor_report.h"
#include "publisher-cli/doctor_stream.h"

// The first answer. False where nothing but this answer is worth a look.
bool doctor_check_answer(struct doctor_report *report, const struct doctor_stream *stream);

// Of the same answer: whether it is good for a page of this origin (NULL: none was given), and the answer to its
// preflight.
void doctor_check_cors(struct doctor_report *report, const char *origin, const struct doctor_stream *stream,
                       const struct doctor_stream *options);
void doctor_check_methods(struct doctor_report *report, const struct doctor_stream *head,
                          const struct doctor_stream *options);

// A stream that had no head in time.
void doctor_check_late(struct doctor_report *report, const struct doctor_stream *stream,
                       const struct doctor_stream *head);

// A stream that was looked at for `idle_ms`.
void doctor_check_buffering(struct doctor_report *report, const struct doctor_stream *stream,
                            uint64_t idle_ms);
void doctor_check_idle(struct doctor_report *report, const struct doctor_stream *stream, uint64_t idle_ms);

// Two streams that were asked for with an id that no gateway gave, once in the header and once in the query.
void doctor_check_last_event_id(struct doctor_report *report, const struct doctor_stream *by_header,
                                const struct doctor_stream *by_query);
