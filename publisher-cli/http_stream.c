#include "publisher-cli/http_stream.h"

#include "common/clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MS 1000
#define REDIRECTS_MAX 5L

struct transfer {
    const struct http_request *request;
    const struct http_reader *reader;
    struct http_answer *answer;
    CURLM *multi;
    struct curl_slist *lines;
    uint64_t start_ms;
    bool is_stopped;
};

static uint64_t since(const struct transfer *t)
{
    return clock_monotonic_ms() - t->start_ms;
}

// One line of a head with its line end; the last one is empty. There may be several heads: of 1xx and of redirects.
static size_t on_line(char *line, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    long status = 0, version = 0;
    (void)curl_easy_getinfo(t->answer->curl, CURLINFO_RESPONSE_CODE, &status); // stays 0: not yet
    bool is_end = size * count <= 2 && (line[0] == '\r' || line[0] == '\n');
    if (!is_end || status < 200 || t->answer->status > 0 ||
        (t->request->follows && http_is_redirect((int)status)))
        return size * count;
    (void)curl_easy_getinfo(t->answer->curl, CURLINFO_HTTP_VERSION, &version); // stays 0: taken for HTTP/1.1
    t->answer->status = (int)status;
    t->answer->is_h2 = version == CURL_HTTP_VERSION_2_0;
    t->answer->head_after_ms = since(t);
    t->is_stopped = t->reader->on_head && !t->reader->on_head(t->reader->ctx, t->answer);
    return t->is_stopped ? 0 : size * count;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    if (t->answer->status == 0) // the body of a redirect
        return size * count;
    t->is_stopped = !t->reader->on_bytes(t->reader->ctx, bytes, size * count);
    return t->is_stopped ? 0 : size * count;
}

static bool set_lines(struct transfer *t)
{
    for (size_t i = 0; i < t->request->field_count; i++) {
        const struct http_field *field = &t->request->fields[i];
        size_t len = strlen(field->name) + strlen(field->value) + 3;
        char *line = malloc(len);
        if (line)
            snprintf(line, len, "%s: %s", field->name, field->value);
        struct curl_slist *longer = line ? curl_slist_append(t->lines, line) : NULL;
        free(line);
        if (!longer)
            return false;
        t->lines = longer;
    }
    return true;
}

static bool set_options(struct transfer *t, char *reason)
{
    const struct http_request *request = t->request;
    CURL *curl = t->answer->curl;
#define SET(option, value) (curl_easy_setopt(curl, CURLOPT_##option, value) == CURLE_OK)
    return SET(URL, request->url) && SET(PROTOCOLS_STR, "http,https") &&
           SET(REDIR_PROTOCOLS_STR, "http,https") && SET(FOLLOWLOCATION, request->follows ? 1L : 0L) &&
           SET(MAXREDIRS, REDIRECTS_MAX) && SET(CUSTOMREQUEST, request->method) &&
           SET(NOBODY, strcmp(request->method, "HEAD") == 0 ? 1L : 0L) && SET(HTTPHEADER, t->lines) &&
           SET(CONNECTTIMEOUT_MS, (long)request->connect_ms) && SET(NOSIGNAL, 1L) && SET(QUICK_EXIT, 1L) &&
           SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) && SET(CERTINFO, 1L) &&
           (!request->ca || (SET(CAINFO, request->ca) && SET(CAPATH, NULL))) && SET(TCP_KEEPALIVE, 1L) &&
           SET(USERAGENT, "sse-publish/" SSE_GATEWAY_VERSION) && SET(HEADERFUNCTION, on_line) &&
           SET(HEADERDATA, t) && SET(WRITEFUNCTION, on_bytes) && SET(WRITEDATA, t) &&
           SET(ERRORBUFFER, reason);
#undef SET
}

// False where the request is over for the reader, or no head came in time.
static bool take_turn(struct transfer *t, int *wait_ms)
{
    int64_t next = t->reader->on_turn ? t->reader->on_turn(t->reader->ctx) : TURN_MS;
    uint64_t past = since(t), head_ms = t->request->head_ms;
    t->is_stopped = t->is_stopped || next < 0;
    t->answer->is_late = t->answer->status == 0 && past >= head_ms;
    if (t->answer->status == 0 && past < head_ms && (uint64_t)next > head_ms - past)
        next = (int64_t)(head_ms - past);
    *wait_ms = next < TURN_MS ? (int)next : TURN_MS;
    return !t->is_stopped && !t->answer->is_late;
}

// What libcurl says of the end; CURL_LAST where it was ended here.
static CURLcode run(struct transfer *t)
{
    struct curl_waitfd wake = {.fd = t->reader->wake_fd, .events = CURL_WAIT_POLLIN};
    int running, left, wait_ms;
    for (;;) {
        if (curl_multi_perform(t->multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        const CURLMsg *message = curl_multi_info_read(t->multi, &left);
        if (message && message->msg == CURLMSG_DONE)
            return message->data.result;
        if (!take_turn(t, &wait_ms))
            return CURL_LAST;
        if (curl_multi_poll(t->multi, &wake, wake.fd >= 0 ? 1 : 0, wait_ms, NULL) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        t->is_stopped = t->is_stopped || (wake.fd >= 0 && wake.revents);
        if (t->is_stopped)
            return CURL_LAST;
    }
}

static void conclude(struct transfer *t, CURLcode code, const char *reason)
{
    struct http_answer *answer = t->answer;
    long status = 0;
    // Of a redirect to nowhere on_line awaited another head.
    if (code == CURLE_OK && answer->status == 0 &&
        curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        answer->status = (int)status;
    answer->end_after_ms = since(t);
    answer->is_untrusted = code == CURLE_PEER_FAILED_VERIFICATION;
    answer->end = t->is_stopped        ? HTTP_STOPPED
                  : code == CURLE_OK   ? HTTP_COMPLETE
                  : answer->status > 0 ? HTTP_CUT
                                       : HTTP_FAILED;
    if (answer->is_late)
        snprintf(answer->error, sizeof answer->error, "no answer within %llu ms",
                 (unsigned long long)t->request->head_ms);
    else
        snprintf(answer->error, sizeof answer->error, "%s", *reason ? reason : curl_easy_strerror(code));
}

bool http_perform(const struct http_request *request, const struct http_reader *reader,
                  struct http_answer *answer, struct failure *failure)
{
    char reason[CURL_ERROR_SIZE] = "";
    struct transfer t = {
        .request = request, .reader = reader, .answer = answer, .start_ms = clock_monotonic_ms()};
    *answer = (struct http_answer){.curl = curl_easy_init()};
    t.multi = curl_multi_init();
    bool ok = answer->curl && t.multi && set_lines(&t) && set_options(&t, reason) &&
              curl_multi_add_handle(t.multi, answer->curl) == CURLM_OK;
    if (ok) {
        conclude(&t, run(&t), reason);
        (void)curl_multi_remove_handle(t.multi, answer->curl);           // it was added
        (void)curl_easy_setopt(answer->curl, CURLOPT_ERRORBUFFER, NULL); // takes NULL always
    }
    (void)curl_multi_cleanup(t.multi); // without handles there is nothing to refuse
    curl_slist_free_all(t.lines);
    if (!ok)
        http_answer_deinit(answer);
    return ok || failure_out_of_memory(failure);
}

void http_answer_deinit(struct http_answer *answer)
{
    curl_easy_cleanup(answer->curl);
    answer->curl = NULL;
}

const char *http_answer_field(const struct http_answer *answer, const char *name, size_t at)
{
    struct curl_header *header;
    return curl_easy_header(answer->curl, name, at, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                            : NULL;
}

int64_t http_answer_certificate_end(const struct http_answer *answer)
{
    static const char name[] = "Expire date:";
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(answer->curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain ||
        chain->num_of_certs < 1)
        return 0;
    for (const struct curl_slist *line = chain->certinfo[0]; line; line = line->next) {
        if (strncmp(line->data, name, sizeof name - 1) == 0) {
            time_t end = curl_getdate(line->data + sizeof name - 1, NULL);
            return end > 0 ? (int64_t)end : 0;
        }
    }
    return 0;
}

static bool add_parameter(CURLU *parts, const struct http_field *parameter)
{
    size_t len = strlen(parameter->name) + strlen(parameter->value) + 2;
    char *text = malloc(len);
    if (!text)
        return false;
    snprintf(text, len, "%s=%s", parameter->name, parameter->value);
    bool ok = curl_url_set(parts, CURLUPART_QUERY, text, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
    free(text);
    return ok;
}

static bool is_http(CURLU *parts)
{
    char *scheme = NULL, *path = NULL;
    bool ok = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
              curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK;
    if (ok && strcmp(path, "/") == 0)
        ok = curl_url_set(parts, CURLUPART_PATH, "/stream", 0) == CURLUE_OK;
    curl_free(scheme);
    curl_free(path);
    return ok;
}

char *http_url_with(const char *url, const struct http_field *parameters, size_t count,
                    struct failure *failure)
{
    CURLU *parts = curl_url();
    char *whole = NULL, *copy = NULL;
    bool ok =
        parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK && is_http(parts);
    if (parts && !ok)
        (void)failure_set(failure, "\"%.*s\" is no URL; write http://HOST[:PORT]/stream, or https://",
                          http_url_shown(url), url);
    for (size_t i = 0; ok && i < count; i++)
        ok = add_parameter(parts, &parameters[i]);
    if (ok && curl_url_get(parts, CURLUPART_URL, &whole, 0) == CURLUE_OK)
        copy = strdup(whole);
    if (!parts || (ok && !copy))
        (void)failure_out_of_memory(failure);
    curl_free(whole);
    curl_url_cleanup(parts);
    return copy;
}
