// In the place of http_stream.c in programs of `make static`: Debian has no archives of half of what libcurl needs.
#include "publisher-cli/http_stream.h"

#include <stdlib.h>

static bool refuse(struct failure *failure)
{
    return failure_set(
        failure, "this sse-publish was built without libcurl (make static), so it cannot ask a gateway");
}

bool http_perform(const struct http_request *request, const struct http_reader *reader,
                  struct http_answer *answer, struct failure *failure)
{
    (void)request;
    (void)reader;
    *answer = (struct http_answer){.end = HTTP_FAILED};
    return refuse(failure);
}

void http_answer_deinit(struct http_answer *answer)
{
    (void)answer;
}

const char *http_answer_field(const struct http_answer *answer, const char *name, size_t at)
{
    (void)answer;
    (void)name;
    (void)at;
    return NULL;
}

int64_t http_answer_certificate_end(const struct http_answer *answer)
{
    (void)answer;
    return 0;
}

char *http_url_with(const char *url, const struct http_field *parameters, size_t count,
                    struct failure *failure)
{
    (void)url;
    (void)parameters;
    (void)count;
    (void)refuse(failure);
    return NULL;
}
