#include "common/trace.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct {
    const char *text;
    int sampled; // -1: it is no traceparent
} parents[] = {
    {"00-" ID "-00f067aa0ba902b7-01", 1},
    {"00-" ID "-00f067aa0ba902b7-00", 0},
    {"00-" ID "-00f067aa0ba902b7-ff", 1},
    {"00-" ID "-00f067aa0ba902b7-0a", 0},
    {"cc-" ID "-00f067aa0ba902b7-01", 1},
    {"cc-" ID "-00f067aa0ba902b7-01-what-comes", 1},
    {"", -1},
    {"00", -1},
    {"ff-" ID "-00f067aa0ba902b7-01", -1},
    {"00-" ID "-00f067aa0ba902b7-01-more", -1},
    {"cc-" ID "-00f067aa0ba902b7-01more", -1},
    {"00-" ID "-00f067aa0ba902b7-0", -1},
    {"00-" ID "_00f067aa0ba902b7-01", -1},
    {"00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", -1},
    {"0x-" ID "-00f067aa0ba902b7-01", -1},
    {"00-" ID "-00f067aa0ba902bg-01", -1},
    {"00-" ID "-00f067aa0ba902b7-0g", -1},
    {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", -1},
    {"00-" ID "-0000000000000000-01", -1},
};

TEST_EACH(a_traceparent_is_what_the_standard_says, parents)
{
    char id[TRACE_ID_LEN + 1] = "";
    bool sampled = false;
    bool ok = trace_parent_parse(parents[_i].text, strlen(parents[_i].text), id, &sampled);
    ck_assert_int_eq(ok ? sampled : -1, parents[_i].sampled);
    ck_assert_str_eq(id, ok ? ID : "");
}

static const struct {
    const char *text;
    bool ok;
} channels[] = {
    {"sse:trace:" ID, true},
    {"sse:trace:", false},
    {"sse:trace:" ID "0", false},
    {"sse:trace:4bf92f3577b34da6a3ce929d0e0e473", false},
    {"sse:trace:4BF92F3577B34DA6A3CE929D0E0E4736", false},
    {"sse:trace:4bf92f3577b34da6a3ce929d0e0e473 ", false},
    {"sse:gateways", false},
    {"user:42", false},
    {"xse:trace:" ID, false},
    {"__sse:revoke", false},
    {"", false},
};

TEST_EACH(reports_go_to_random_channels_of_their_own_and_to_no_other, channels)
{
    ck_assert_int_eq(trace_channel_valid(channels[_i].text, strlen(channels[_i].text)), channels[_i].ok);
}
