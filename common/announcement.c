#include "common/announcement.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"

#define STREAMS_MAX 1000000000 // more than CAPACITY_STREAMS_MAX
#define EVERY_MIN_MS 100
#define EVERY_MAX_MS 60000
#define RUN_DIGITS 16u

// Words stand in logs, in JSON and on terminals as they are.
static bool is_word(const char *text, size_t len, size_t max)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
            return false;
    return len > 0 && len <= max;
}

static bool read_word(const json_t *json, const char *name, char *out, size_t max)
{
    const json_t *value = json_object_get(json, name);
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!is_word(text, len, max))
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static bool read_run(const json_t *json, uint64_t *out)
{
    char text[RUN_DIGITS + 1];
    if (!read_word(json, "run", text, RUN_DIGITS) || strlen(text) != RUN_DIGITS)
        return false;
    *out = 0;
    for (size_t i = 0; i < RUN_DIGITS; i++) {
        int digit = hex_value(text[i]);
        if (digit < 0)
            return false;
        *out = *out << 4 | (unsigned)digit;
    }
    return true;
}

static bool read_number(const json_t *json, const char *name, json_int_t min, json_int_t max, uint64_t *out)
{
    const json_t *value = json_object_get(json, name);
    json_int_t number = json_integer_value(value);
    *out = (uint64_t)number;
    return json_is_integer(value) && number >= min && number <= max;
}

static bool read_flag(const json_t *json, const char *name, bool *out)
{
    const json_t *value = json_object_get(json, name);
    *out = json_is_true(value);
    return json_is_boolean(value);
}

static bool read_all(const json_t *json, struct announcement *a)
{
    uint64_t every;
    if (!read_word(json, "id", a->id, ANNOUNCEMENT_ID_MAX) ||
        !read_word(json, "version", a->version, ANNOUNCEMENT_VERSION_MAX) || !read_run(json, &a->run) ||
        !read_number(json, "connections", 0, STREAMS_MAX, &a->connections) ||
        !read_number(json, "capacity", 1, STREAMS_MAX, &a->capacity) ||
        !read_number(json, "every", EVERY_MIN_MS, EVERY_MAX_MS, &every) ||
        !read_flag(json, "draining", &a->draining) || !read_flag(json, "ready", &a->ready))
        return false;
    a->every_ms = (uint32_t)every;
    // Only said where they hold.
    a->rebalancing = json_is_true(json_object_get(json, "rebalancing"));
    a->leaving = json_is_true(json_object_get(json, "leaving"));
    return true;
}

bool announcement_parse(const char *text, size_t len, struct announcement *out)
{
    json_error_t ignored;
    *out = (struct announcement){0};
    json_t *json = len <= ANNOUNCEMENT_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &ignored) : NULL;
    bool ok = json_is_object(json) && read_all(json, out);
    json_decref(json);
    return ok;
}

char *announcement_text(const struct announcement *a)
{
    char *text = malloc(ANNOUNCEMENT_MAX + 1);
    if (!text || !is_word(a->id, strlen(a->id), ANNOUNCEMENT_ID_MAX) ||
        !is_word(a->version, strlen(a->version), ANNOUNCEMENT_VERSION_MAX)) {
        free(text);
        return NULL;
    }
    snprintf(text, ANNOUNCEMENT_MAX + 1,
             "{\"id\":\"%s\",\"run\":\"%016" PRIx64 "\",\"version\":\"%s\",\"connections\":%" PRIu64
             ",\"capacity\":%" PRIu64 ",\"draining\":%s,\"ready\":%s,\"every\":%" PRIu32 "%s%s}",
             a->id, a->run, a->version, a->connections, a->capacity, a->draining ? "true" : "false",
             a->ready ? "true" : "false", a->every_ms, a->rebalancing ? ",\"rebalancing\":true" : "",
             a->leaving ? ",\"leaving\":true" : "");
    return text;
}
