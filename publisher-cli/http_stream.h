// One HTTP request whose answer may go on for ever, by libcurl.
#pragma once

#include "publisher-cli/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct http_field {
    const char *name, *value;
};

struct http_request {
    const char *url, *method;
    const struct http_field *fields; // of the head; all is borrowed
    size_t field_count;
    const char *ca; // file of certificates (PEM); NULL: what the system trusts
    // Milliseconds until there is a connection, and until the head of the answer is there.
    uint64_t connect_ms, head_ms;
    bool follows; // redirects
};

enum http_end {
    HTTP_COMPLETE, // the answer was read to its end
    HTTP_CUT,      // the connection was lost in the middle of the answer
    HTTP_FAILED,   // no answer came
    HTTP_STOPPED,  // the reader ended it
};

// Times are milliseconds since the request began.
struct http_answer {
    enum http_end end;
    int status;                        // 0: no head came
    bool is_h2, is_late, is_untrusted; // is_late: connected, but no head within head_ms
    uint64_t head_after_ms, end_after_ms;
    char error[256]; // why, for HTTP_CUT and HTTP_FAILED
    void *curl;      // has the fields
};

// What reads the answer. Each function but on_bytes may be NULL; one that says false or a negative time ends the
// request.
struct http_reader {
    bool (*on_head)(void *ctx, const struct http_answer *answer);
    bool (*on_bytes)(void *ctx, const char *bytes, size_t len);
    int64_t (*on_turn)(void *ctx); // called now and then; milliseconds until it must be called again
    void *ctx;
    int wake_fd; // ends the request as soon as it can be read; negative: none
};

// False where memory ran out. Else `answer` is for http_answer_deinit.
bool http_perform(const struct http_request *request, const struct http_reader *reader,
                  struct http_answer *answer, struct failure *failure);
void http_answer_deinit(struct http_answer *answer);

// The value of a field of the head, NULL where it is not there; valid until http_answer_deinit. `at` is 0 for the
// first of several with one name.
const char *http_answer_field(const struct http_answer *answer, const char *name, size_t at);

// What an EventSource takes (WHATWG HTML, 9.2.2).
static inline bool http_answer_is_event_stream(const struct http_answer *answer)
{
    static const char type[] = "text/event-stream";
    const char *field = http_answer_field(answer, "content-type", 0);
    size_t len = sizeof type - 1;
    return answer->status == 200 && field && strncasecmp(field, type, len) == 0 &&
           (field[len] == '\0' || strchr("; \t", field[len]));
}

static inline bool http_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// As the precision of what is shown of a URL, 200 bytes at most: its query and fragment may have a ticket or a token.
static inline int http_url_shown(const char *url)
{
    size_t len = strcspn(url, "?#");
    return len < 200 ? (int)len : 200;
}

// Unix time at which the certificate of the server ends; 0: there was none.
int64_t http_answer_certificate_end(const struct http_answer *answer);

// `url` with parameters added to its query, "/stream" where it has no path. The caller frees it. NULL, with a failure,
// where it is no URL of HTTP.
char *http_url_with(const char *url, const struct http_field *parameters, size_t count,
                    struct failure *failure);
