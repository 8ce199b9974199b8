// Pages read as Prometheus and a load balancer read them: a bus and workers that are made and never started.
#include "gateway/process/metrics.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/map.h"
#include "gateway/process/pages.h"
#include "tests/unit/lib/unit_main.h"

enum { WORKERS = 3 };

static struct worker *workers[WORKERS];
static struct mailbox *boxes[WORKERS];
static struct counters admin;
static struct status status;
static struct page page;

static void setup(void)
{
    static struct replay_budget budget = {.limit = 1000};
    static const struct client_settings client = {
        .stream_path = "/stream", .max_channels = 1, .replay_budget = &budget};
    static struct redis_url url = {.kind = REDIS_URL_UNIX, .unix_path = (char *)(uintptr_t) "/nonexistent"};
    ck_assert(map_seed());
    status.id = "gw-1";
    status.admin = &admin;
    status.workers = workers;
    status.worker_count = WORKERS;
    status.limits.max_streams = 1000;
    status.started_at = clock_monotonic_ms();
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker_settings settings = {.index = i,
                                           .worker_count = WORKERS,
                                           .client = &client,
                                           .limits = &status.limits,
                                           .backlog_limit = 1000};
        workers[i] = worker_create(&settings);
        ck_assert_ptr_nonnull(workers[i]);
        boxes[i] = worker_mailbox(workers[i]);
    }
    struct bus_settings settings = {
        .redis = &url, .client_name = "gw", .max_message = 1000, .workers = boxes, .worker_count = WORKERS};
    struct bus *bus = bus_create(&settings);
    ck_assert_ptr_nonnull(bus);
    status.bus = bus;
}

static void teardown(void)
{
    free(page.body);
    for (int i = 0; i < WORKERS; i++)
        worker_destroy(workers[i]);
    bus_destroy((struct bus *)(uintptr_t)status.bus);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static void get(const char *path)
{
    free(page.body);
    const struct http_text at = {.at = path, .len = strlen(path)};
    const struct route *r = route_find(process_pages, at, LISTENER_ADMIN);
    ck_assert_ptr_nonnull(r);
    page = r->page(&status);
    ck_assert_int_eq(page.status, 200);
    ck_assert_ptr_nonnull(page.body);
}

// The counters of a thread, which only it may write; here no thread runs.
static struct counters *of_worker(unsigned i)
{
    return (struct counters *)(uintptr_t)worker_counters(workers[i]);
}

static struct counters *of_bus(void)
{
    return (struct counters *)(uintptr_t)bus_counters(status.bus);
}

// ---- a strict reader of the text format (prometheus.io/docs/instrumenting/exposition_formats)

#define FAMILIES_MAX 128

static struct family {
    char name[80], kind[16];
    unsigned samples;
} families[FAMILIES_MAX];
static size_t family_count;
static char samples[FAMILIES_MAX * 4][256]; // "name{labels}", each at most once
static size_t sample_count;

static size_t name_length(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || text[len] == '_' || text[len] == ':')
        len++;
    return isdigit((unsigned char)*text) ? 0 : len;
}

// `name="value",..` up to the brace. Returns what follows it.
static const char *read_labels(const char *at)
{
    for (;;) {
        size_t len = name_length(at);
        ck_assert_msg(len > 0 && at[len] == '=' && at[len + 1] == '"', "a label at %.40s", at);
        for (at += len + 2; *at != '"'; at++) {
            ck_assert_msg(*at && *at != '\n', "a label's value does not end");
            if (*at == '\\')
                at++;
        }
        at++;
        if (*at == '}')
            return at + 1;
        ck_assert_int_eq(*at++, ',');
    }
}

static bool is_of_family(const char *name, size_t len, const struct family *f)
{
    static const char *const ends[] = {"_bucket", "_sum", "_count"};
    size_t family_len = strlen(f->name);
    if (strncmp(name, f->name, family_len) != 0)
        return false;
    bool is_one = strcmp(f->kind, "histogram") != 0 && len == family_len;
    for (size_t i = 0; strcmp(f->kind, "histogram") == 0 && i < 3; i++)
        is_one |=
            len == family_len + strlen(ends[i]) && strncmp(name + family_len, ends[i], strlen(ends[i])) == 0;
    return is_one;
}

static void read_sample(const char *line)
{
    const struct family *f = &families[family_count - 1];
    size_t len = name_length(line);
    ck_assert_msg(family_count > 0 && f->kind[0], "a sample before HELP and TYPE: %s", line);
    ck_assert_msg(is_of_family(line, len, f), "%s among those of %s", line, f->name);
    const char *value = line[len] == '{' ? read_labels(line + len + 1) : line + len;
    ck_assert_int_eq(*value, ' ');
    char *end;
    double number = strtod(value + 1, &end);
    ck_assert_msg(end > value + 1 && *end == '\0' && number >= 0, "no number: %s", line);
    for (size_t i = 0; i < sample_count; i++)
        ck_assert_msg(strncmp(samples[i], line, (size_t)(value - line)) != 0 ||
                          samples[i][value - line] != '\0',
                      "twice: %s", line);
    snprintf(samples[sample_count++], sizeof *samples, "%.*s", (int)(value - line), line);
    families[family_count - 1].samples++;
}

static void read_line(const char *line)
{
    char name[80], kind[16], extra;
    if (strncmp(line, "# HELP ", 7) == 0) {
        ck_assert_int_eq(sscanf(line, "# HELP %79s", name), 1);
        const char *help = line + 7 + strlen(name);
        ck_assert_msg(help[0] == ' ' && help[1] > ' ' && line[strlen(line) - 1] == '.', "no sentence: %s",
                      line);
        for (size_t i = 0; i < family_count; i++)
            ck_assert_msg(strcmp(families[i].name, name) != 0, "%s is in two places", name);
        ck_assert(family_count == 0 || families[family_count - 1].samples > 0);
        ck_assert_uint_lt(family_count, FAMILIES_MAX);
        strcpy(families[family_count++].name, name);
    } else if (strncmp(line, "# TYPE ", 7) == 0) {
        struct family *f = &families[family_count - 1];
        ck_assert_int_eq(sscanf(line, "# TYPE %79s %15s %c", name, kind, &extra), 2);
        ck_assert_msg(family_count > 0 && strcmp(f->name, name) == 0 && !f->kind[0], "TYPE of %s alone",
                      name);
        ck_assert(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0 ||
                  strcmp(kind, "histogram") == 0);
        strcpy(f->kind, kind);
    } else {
        read_sample(line);
    }
}

static void read_page(void)
{
    family_count = sample_count = 0;
    memset(families, 0, sizeof families);
    get("/metrics");
    ck_assert_int_eq(page.body[strlen(page.body) - 1], '\n');
    char *text = strdup(page.body), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) && rest)
        read_line(line);
    free(text);
    ck_assert_uint_gt(families[family_count - 1].samples, 0);
}

// The value of a sample.
static uint64_t value_of(const char *sample)
{
    char mark[160];
    bool is_whole = strncmp(sample, "sse_gateway_", 12) == 0 || strncmp(sample, "process_", 8) == 0;
    snprintf(mark, sizeof mark, "\n%s%s ", is_whole ? "" : "sse_gateway_", sample);
    char *text = strdup(page.body), *at = strstr(text, mark);
    ck_assert_msg(at != NULL, "no sample %s", sample);
    uint64_t value = strtoull(at + strlen(mark), NULL, 10);
    free(text);
    return value;
}

TEST(every_family_stands_together_under_its_help_and_type)
{
    read_page();
    ck_assert_str_eq(page.content_type, "text/plain; version=0.0.4; charset=utf-8");
    ck_assert_uint_ge(sample_count, (size_t)COUNTER_COUNT + (size_t)CLOSE_REASON_COUNT);
}

TEST(names_say_whose_they_are_and_whether_they_only_grow)
{
    read_page();
    for (size_t i = 0; i < family_count; i++) {
        const char *name = families[i].name;
        size_t len = strlen(name);
        bool total = len > 6 && strcmp(name + len - 6, "_total") == 0;
        ck_assert_msg(strncmp(name, "sse_gateway_", 12) == 0 || strncmp(name, "process_", 8) == 0, "%s",
                      name);
        ck_assert_msg(total == (strcmp(families[i].kind, "counter") == 0), "%s is a %s", name,
                      families[i].kind);
    }
}

// In the order of the enum. Of a ROW the name is that of the family before it.
static const struct {
    const char *name, *label, *value;
} counted[] = {
#define SKIP(...)
#define FAMILY(name, type, unit, label, help) {name, label, NULL},
#define ROW(symbol, value, help) {NULL, NULL, value},
#define SUM(symbol, name, ...) {name, NULL, ""},
    METRICS(SKIP, FAMILY, ROW, SUM, SKIP, SKIP, SKIP)};

TEST(every_counter_is_the_sum_over_all_threads)
{
    for (uint64_t c = 0; c < COUNTER_COUNT; c++) {
        counter_set(&admin, (enum counter)c, c + 1);
        counter_set(of_bus(), (enum counter)c, 1000);
        for (unsigned w = 0; w < WORKERS; w++)
            counter_set(of_worker(w), (enum counter)c, 10000 * (w + 1));
    }
    read_page();
    uint64_t c = 0;
    size_t family = 0;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        char sample[160];
        if (counted[i].name)
            family = i;
        if (!counted[i].value)
            continue;
        if (counted[i].name)
            snprintf(sample, sizeof sample, "%s", counted[i].name);
        else
            snprintf(sample, sizeof sample, "%s{%s=\"%s\"}", counted[family].name, counted[family].label,
                     counted[i].value);
        ck_assert_uint_eq(value_of(sample), c++ + 1 + 1000 + 60000);
    }
    ck_assert_uint_eq(c, COUNTER_COUNT);
}

TEST(a_gauge_that_one_thread_raised_and_another_lowered_is_their_sum)
{
    counter_add(of_worker(0), COUNTER_QUEUED_BYTES, 500);
    counter_add(of_worker(1), COUNTER_QUEUED_BYTES, -200);
    get("/metrics");
    ck_assert_uint_eq(value_of("queued_bytes"), 300);
}

TEST(large_numbers_are_whole)
{
    counter_set(&admin, COUNTER_BYTES_SENT, UINT64_C(12345678901234567890));
    get("/metrics");
    ck_assert_uint_eq(value_of("sent_bytes_total"), UINT64_C(12345678901234567890));
}

TEST(every_reason_to_close_has_a_sample)
{
    char sample[128];
    get("/metrics");
    for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
        snprintf(sample, sizeof sample, "closes_total{reason=\"%s\"}",
                 close_reason_name((enum close_reason)i));
        ck_assert_uint_eq(value_of(sample), 0);
    }
}

TEST(the_state_of_the_gateway_is_told)
{
    get("/metrics");
    ck_assert_uint_eq(value_of("ready"), 0); // Redis has not been heard
    ck_assert_uint_eq(value_of("draining"), 0);
    ck_assert_uint_eq(value_of("capacity"), 1000);
    ck_assert_uint_eq(value_of("workers"), WORKERS);
    ck_assert_uint_eq(value_of("build_info{version=\"" SSE_GATEWAY_VERSION "\",id=\"gw-1\"}"), 1);
    ck_assert_uint_gt(value_of("resident_memory_bytes"), 1000000);
    ck_assert_uint_lt(value_of("uptime_seconds"), 60);
    atomic_store(&status.draining, true);
    get("/metrics");
    ck_assert_uint_eq(value_of("draining"), 1);
}

static const struct {
    uint64_t open, most;
    double load;
} loads[] = {{0, 1000, 0}, {250, 1000, 0.25}, {1000, 1000, 1}, {1001, 1000, 1}, {0, 0, 1}, {1, 3, 0.3333}};

TEST_EACH(a_load_balancer_reads_a_load_from_0_to_1, loads)
{
    counter_set(of_worker(1), COUNTER_STREAMS_OPEN, loads[_i].open);
    status.limits.max_streams = loads[_i].most;
    get("/metrics/sse");
    ck_assert_str_eq(page.content_type, "application/json");
    json_t *json = json_loads(page.body, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_string_value(json_object_get(json, "id")), "gw-1");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "connections")), (json_int_t)loads[_i].open);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "capacity")), (json_int_t)loads[_i].most);
    ck_assert(json_is_false(json_object_get(json, "draining")));
    ck_assert_double_eq_tol(json_number_value(json_object_get(json, "load")), loads[_i].load, 0.0001);
    json_decref(json);
    atomic_store(&status.draining, true);
    get("/metrics/sse");
    ck_assert_ptr_nonnull(strstr(page.body, "\"draining\":true"));
}

static const char *const others[] = {"",          "/",           "/metric",       "/metrics/",
                                     "/metricsx", "/metrics/ss", "/metrics/sse/", "/METRICS"};

TEST_EACH(another_path_is_no_page_of_these, others)
{
    const struct http_text path = {.at = others[_i], .len = strlen(others[_i])};
    ck_assert_ptr_null(route_find(process_pages, path, LISTENER_ADMIN));
}

TEST(metrics_are_not_for_the_public)
{
    static const char *const paths[] = {"/metrics", "/metrics/sse", "/health/live"};
    for (size_t i = 0; i < 3; i++) {
        const struct http_text path = {.at = paths[i], .len = strlen(paths[i])};
        ck_assert(!route_find(process_pages, path, LISTENER_PUBLIC) == (i < 2));
    }
}
