#include "publisher-cli/doctor.h"

#include "publisher-cli/channel.h"
#include "publisher-cli/credentials.h"
#include "publisher-cli/doctor_checks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CHANNEL "doctor"
#define OPEN_MS 3000 // in which a stream's first event must have come
// An id that no gateway gave: one that gets it answers with a gap.
#define FOREIGN_ID "sse-publish-doctor"

struct doctor {
    const struct settings *settings;
    char *url, *url_with_id; // the second has last_event_id in its query
    char bearer[TOKEN_MAX + 16];
    uint64_t idle_ms;
    struct doctor_report report;
    struct failure failure;
};

static void add_field(struct doctor_request *request, const char *name, const char *value)
{
    request->fields[request->field_count++] = (struct http_field){name, value};
}

static struct doctor_request request_of(const struct doctor *doctor, const char *method)
{
    const struct settings *settings = doctor->settings;
    struct doctor_request request = {
        .url = doctor->url, .method = method, .ca = settings->cacert, .timeout_ms = settings->timeout};
    add_field(&request, "Accept", "text/event-stream");
    if (doctor->bearer[0])
        add_field(&request, "Authorization", doctor->bearer);
    if (settings->origin)
        add_field(&request, "Origin", settings->origin);
    return request;
}

// A browser's stream, for as long as its head and its first event take.
static bool look_at_answer(struct doctor *doctor, struct doctor_stream *stream)
{
    struct doctor_request request = request_of(doctor, "GET");
    add_field(&request, "Accept-Encoding", "gzip, br");
    *stream = (struct doctor_stream){.watch_ms = OPEN_MS, .ends_when_open = true};
    stream->watch_ms += doctor->settings->timeout;
    return doctor_stream_watch(stream, &request, &doctor->failure);
}

static bool look_at_method(struct doctor *doctor, const char *method, struct doctor_stream *stream)
{
    struct doctor_request request = request_of(doctor, method);
    if (strcmp(method, "OPTIONS") == 0)
        add_field(&request, "Access-Control-Request-Method", "GET");
    *stream = (struct doctor_stream){.watch_ms = doctor->settings->timeout};
    return doctor_stream_watch(stream, &request, &doctor->failure);
}

static bool look_at_methods(struct doctor *doctor, const struct doctor_stream *stream)
{
    struct doctor_stream head, options;
    if (!look_at_method(doctor, "HEAD", &head))
        return false;
    bool ok = look_at_method(doctor, "OPTIONS", &options);
    if (ok) {
        doctor_check_methods(&doctor->report, &head, &options);
        if (stream->answer.is_late)
            doctor_check_late(&doctor->report, stream, &head);
        else
            doctor_check_cors(&doctor->report, doctor->settings->origin, stream, &options);
        doctor_stream_deinit(&options);
    }
    doctor_stream_deinit(&head);
    return ok;
}

static bool look_at_id(struct doctor *doctor)
{
    struct doctor_stream by_header = {.watch_ms = OPEN_MS, .ends_when_open = true}, by_query = by_header;
    struct doctor_request request = request_of(doctor, "GET");
    request.url = doctor->url_with_id;
    if (!doctor_stream_watch(&by_query, &request, &doctor->failure))
        return false;
    request.url = doctor->url;
    add_field(&request, "Last-Event-ID", FOREIGN_ID);
    bool ok = doctor_stream_watch(&by_header, &request, &doctor->failure);
    if (ok) {
        doctor_check_last_event_id(&doctor->report, &by_header, &by_query);
        doctor_stream_deinit(&by_header);
    }
    doctor_stream_deinit(&by_query);
    return ok;
}

static bool look_at_silence(struct doctor *doctor)
{
    struct doctor_events events;
    struct doctor_stream stream = {.watch_ms = doctor->idle_ms};
    struct doctor_request request = request_of(doctor, "GET");
    bool has_redis = doctor->settings->redis.url != NULL;
    if (has_redis) {
        events.has_failed = !doctor_events_init(&events, doctor->settings, doctor->report.channel);
        stream.events = &events;
        stream.watch_ms += DOCTOR_EVENTS_MS; // silence begins after them
    }
    if (!doctor->settings->json)
        fprintf(stderr, "sse-publish: looking at a quiet stream for %g s (--idle)\n",
                (double)doctor->idle_ms / 1000);
    bool ok = doctor_stream_watch(&stream, &request, &doctor->failure);
    if (ok) {
        doctor_check_buffering(&doctor->report, &stream, doctor->idle_ms);
        doctor_check_idle(&doctor->report, &stream, doctor->idle_ms);
        doctor_stream_deinit(&stream);
    }
    if (has_redis)
        doctor_events_deinit(&events);
    return ok;
}

// What a gateway refuses is nothing to be changed in a proxy. EXIT_DONE where it refuses nothing.
static enum exit_status refusal(struct doctor *doctor, const struct doctor_stream *stream)
{
    int status = stream->answer.status;
    if (!http_answer_field(&stream->answer, "x-sse-gateway", 0))
        return EXIT_DONE;
    if (stream->is_event_stream && !stream->is_encoded && !stream->said_open &&
        stream->answer.end == HTTP_COMPLETE) {
        (void)failure_set(&doctor->failure,
                          "the gateway refuses streams for now (200 with retry): it drains, is full or not "
                          "ready, or a cap is reached; try again later");
        return EXIT_REFUSED;
    }
    if (status != 204 && (status < 400 || status >= 500 || status == 429))
        return EXIT_DONE;
    if (status == 204) {
        (void)failure_set(
            &doctor->failure,
            "the gateway answers 204: the channel has ended; choose another one with --channel");
        return EXIT_USAGE;
    }
    (void)failure_set(&doctor->failure,
                      "the gateway answers %d: choose a channel that is open to you with --channel, show a "
                      "token with --token-file, and check the path",
                      status);
    return EXIT_USAGE;
}

static enum exit_status examine(struct doctor *doctor)
{
    struct doctor_stream stream;
    if (!look_at_answer(doctor, &stream))
        return EXIT_REFUSED;
    enum exit_status status = refusal(doctor, &stream);
    if (status == EXIT_DONE) {
        bool ok = true, has_stream = doctor_check_answer(&doctor->report, &stream);
        if (has_stream || stream.answer.is_late)
            ok = look_at_methods(doctor, &stream);
        if (ok && has_stream)
            ok = look_at_id(doctor) && look_at_silence(doctor);
        status = ok ? EXIT_DONE : EXIT_REFUSED;
    }
    doctor_stream_deinit(&stream);
    return status;
}

static bool prepare(struct doctor *doctor, const char *url)
{
    const struct settings *settings = doctor->settings;
    const char *channel = settings->channel ? settings->channel : DEFAULT_CHANNEL;
    const struct http_field parameters[] = {
        {"channel", channel}, {"control", "1"}, {"last_event_id", FOREIGN_ID}};
    if (!channel_check(channel, &doctor->failure) ||
        (settings->token_file && !credentials_bearer(settings->token_file, doctor->bearer, &doctor->failure)))
        return false;
    doctor->report.channel = channel;
    doctor->url = http_url_with(url, parameters, 2, &doctor->failure);
    doctor->url_with_id = doctor->url ? http_url_with(url, parameters, 3, &doctor->failure) : NULL;
    return doctor->url_with_id != NULL;
}

enum exit_status doctor_command(const struct settings *settings, int argc, char **argv)
{
    struct doctor *doctor = calloc(1, sizeof *doctor);
    enum exit_status status = EXIT_USAGE;
    (void)argc; // settings_check has counted
    if (!doctor)
        return fail(EXIT_REFUSED, "out of memory");
    doctor->settings = settings;
    doctor->report.url = argv[0];
    doctor->idle_ms = settings->idle == OPTION_UNSET ? IDLE_DEFAULT_MS : settings->idle;
    for (int i = 0; i < CHECK_COUNT; i++)
        doctor_say(&doctor->report, (enum doctor_check)i, VERDICT_NOT_TRIED,
                   "no stream came that could be looked at");
    if (prepare(doctor, argv[0]))
        status = examine(doctor);
    if (status != EXIT_DONE) {
        (void)fail(status, doctor->failure.text);
    } else {
        doctor_print(&doctor->report, settings->json);
        status = doctor_findings(&doctor->report) > 0 ? EXIT_REFUSED : EXIT_DONE;
    }
    free(doctor->url);
    free(doctor->url_with_id);
    free(doctor);
    return status;
}
