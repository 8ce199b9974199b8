#include "gateway/fanout/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define TEXT(s) (s), sizeof(s) - 1
#define MAGIC "\x1eSSE/1\n"

static struct payload_policy policy;
static struct payload_rule rules[8];

static void use_rules(const char *const *texts)
{
    char error[256];
    policy = (struct payload_policy){.rules = rules};
    for (; *texts; texts++)
        ck_assert_msg(payload_rule_parse(*texts, &rules[policy.count++], error, sizeof error), "%s", error);
}

static void free_rules(void)
{
    for (size_t i = 0; i < policy.count; i++)
        free(rules[i].pattern);
}

// Of a message that holds one event: its frame, or NULL.
static struct frame *frame_of(const struct payload_policy *p, struct channel_ref channel, const char *payload,
                              size_t len, enum counter *dropped)
{
    struct message_event events[MESSAGE_EVENTS_MAX];
    ck_assert_uint_eq(message_events(p, channel, payload, len, SIZE_MAX, events), 1);
    *dropped = events[0].dropped;
    return events[0].frame;
}

#define DROPPED_NOT -1

static const struct {
    const char *mode, *payload;
    size_t len;
    const char *body; // what is sent, where it is not dropped
    int dropped;      // enum counter, or DROPPED_NOT
} messages[] = {
    {"auto", TEXT("hello"), "data: hello\n\n", DROPPED_NOT},
    {"auto", TEXT(""), "data: \n\n", DROPPED_NOT},
    {"auto", TEXT(" x"), "data:  x\n\n", DROPPED_NOT},
    {"auto", TEXT("{\"a\":1}"), "data: {\"a\":1}\n\n", DROPPED_NOT},
    {"auto", TEXT("a\n\nevent: evil"), "data: a\ndata: \ndata: event: evil\n\n", DROPPED_NOT},
    {"auto", TEXT("data: x"), "data: data: x\n\n", DROPPED_NOT},
    {"auto", TEXT("a\0b"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT("a\xff"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT("\xed\xa0\x80"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT("\xc3\xa9"), "data: \xc3\xa9\n\n", DROPPED_NOT},
    {"auto", TEXT(MAGIC "\nbody"), "data: body\n\n", DROPPED_NOT},
    {"auto", TEXT(MAGIC "event: order\nid: 7\nretry: 500\n\na\nb"),
     "id: 7\nevent: order\nretry: 500\ndata: a\ndata: b\n\n", DROPPED_NOT},
    {"auto", TEXT(MAGIC "color: red\n\nbody"), "data: body\n\n", DROPPED_NOT},
    {"auto", TEXT(MAGIC "event: a\rb\n\nbody"), NULL, COUNTER_DROPPED_ENVELOPE},
    {"auto", TEXT(MAGIC "id: a\0b\n\nbody"), NULL, COUNTER_DROPPED_ENVELOPE},
    {"auto", TEXT(MAGIC "retry: soon\n\nbody"), NULL, COUNTER_DROPPED_ENVELOPE},
    {"auto", TEXT(MAGIC "event: gateway:gap\n\nbody"), NULL, COUNTER_DROPPED_ENVELOPE},
    {"auto", TEXT(MAGIC "event: x"), NULL, COUNTER_DROPPED_ENVELOPE},
    {"auto", TEXT(MAGIC "event: \xff\n\nbody"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT(MAGIC "id: \xff\n\nbody"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT(MAGIC "\nbo\0dy"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"auto", TEXT("\x1eSSE/2\nx"), "data: \x1eSSE/2\ndata: x\n\n", DROPPED_NOT},
    {"text", TEXT("hello"), "data: hello\n\n", DROPPED_NOT},
    {"text", TEXT(MAGIC "event: x\n\nbody"), "data: \x1eSSE/1\ndata: event: x\ndata: \ndata: body\n\n",
     DROPPED_NOT},
    {"text", TEXT(MAGIC "event: x"), "data: \x1eSSE/1\ndata: event: x\n\n", DROPPED_NOT},
    {"text", TEXT("\0"), NULL, COUNTER_DROPPED_NOT_TEXT},
    {"envelope", TEXT(MAGIC "event: x\n\nbody"), "event: x\ndata: body\n\n", DROPPED_NOT},
    {"envelope", TEXT("hello"), NULL, COUNTER_DROPPED_PLAIN},
    {"envelope", TEXT(""), NULL, COUNTER_DROPPED_PLAIN},
    {"envelope", TEXT("\xff"), NULL, COUNTER_DROPPED_PLAIN},
    {"envelope", TEXT(MAGIC "retry: -1\n\nbody"), NULL, COUNTER_DROPPED_ENVELOPE},
};

TEST_EACH(a_payload_becomes_its_event_or_is_dropped_for_its_reason, messages)
{
    use_rules((const char *const[]){messages[_i].mode, NULL});
    // In memory of its own size: AddressSanitizer sees one byte too many.
    char *payload = malloc(messages[_i].len);
    memcpy(payload, messages[_i].payload, messages[_i].len);
    enum counter dropped = COUNTER_COUNT;
    struct frame *f = frame_of(&policy, (struct channel_ref){.name = "news", .len = 4, .hash = 7}, payload,
                               messages[_i].len, &dropped);
    free(payload);
    if (messages[_i].dropped != DROPPED_NOT) {
        ck_assert_ptr_null(f);
        ck_assert_int_eq((int)dropped, messages[_i].dropped);
    } else {
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(f->body_len, strlen(messages[_i].body));
        ck_assert_mem_eq(f->wire + f->body_at, messages[_i].body, f->body_len);
        ck_assert_uint_eq(f->channel_hash, 7);
        ck_assert_uint_eq(f->channel_len, 4);
        ck_assert_mem_eq(f->channel, "news", 4);
    }
    frame_release(f);
    free_rules();
}

static const struct {
    const char *id;
    bool kept;
} ids[] = {
    {"7", true},        {"", true},      {"a b~!\"{}", true}, {"a\tb", false}, {"a\x01", false},
    {"\x1f", false},    {"\x7f", false}, {"\xc3\xa9", false}, // no ASCII: fetch refuses it in a header
    {"user:1/2", true},
};

static struct frame *with_id(const char *id, size_t len, enum counter *dropped)
{
    char payload[2048];
    int n = snprintf(payload, sizeof payload, MAGIC "event: order\nid: %.*s\n\nbody", (int)len, id);
    return frame_of(&policy, channel_ref("c", 1), payload, (size_t)n, dropped);
}

// What a client would bring back as Last-Event-ID, and be refused for by a server or by itself, is left out.
TEST_EACH(an_id_that_could_not_come_back_is_left_out_and_counted, ids)
{
    use_rules((const char *const[]){"auto", NULL});
    enum counter dropped = COUNTER_COUNT;
    struct frame *f = with_id(ids[_i].id, strlen(ids[_i].id), &dropped);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(dropped, ids[_i].kept ? COUNTER_COUNT : COUNTER_IDS_DROPPED);
    ck_assert_int_eq(f->id_line_len > 0, ids[_i].kept);
    ck_assert_mem_eq(f->wire + f->body_at + f->id_line_len, "event: order\ndata: body\n\n", 25);
    frame_release(f);
    free_rules();
}

TEST(an_id_may_have_1_KiB)
{
    use_rules((const char *const[]){"auto", NULL});
    char id[1025];
    memset(id, 'x', sizeof id);
    for (size_t len = 1024; len <= 1025; len++) {
        enum counter dropped = COUNTER_COUNT;
        struct frame *f = with_id(id, len, &dropped);
        ck_assert_int_eq(dropped, len == 1024 ? COUNTER_COUNT : COUNTER_IDS_DROPPED);
        ck_assert_uint_eq(f->id_line_len, len == 1024 ? 1024 + strlen("id: \n") : 0);
        frame_release(f);
    }
    free_rules();
}

// Which mode a channel has, seen by what becomes of a plain payload and of an envelope.
static enum payload_mode mode_of(const char *channel)
{
    enum counter dropped;
    struct frame *plain = frame_of(&policy, channel_ref(channel, strlen(channel)), TEXT("x"), &dropped);
    struct frame *envelope =
        frame_of(&policy, channel_ref(channel, strlen(channel)), TEXT(MAGIC "\nx"), &dropped);
    enum payload_mode mode = !plain                                        ? PAYLOAD_ENVELOPE
                             : envelope->body_len == strlen("data: x\n\n") ? PAYLOAD_AUTO
                                                                           : PAYLOAD_TEXT;
    frame_release(plain);
    frame_release(envelope);
    return mode;
}

static const struct {
    const char *line;
    bool good;
} places[] = {
    {"101-5 100-4 90", true},
    {"101-1 0-0 101", true},
    {"18446744073709551615-5 100-4 90", true},
    {"101-5 100-4", false},
    {"101-5 100-4 ", false},
    {"101-5 100-4 90 ", false},
    {"101-5  100-4 90", false},
    {"101 100-4 90", false},
    {"101-0 100-4 90", false},
    {"101-5 101-5 90", false}, // behind itself
    {"101-5 102-4 90", false}, // behind what comes later
    {"101-6 100-4 90", false}, // with a hole between the two
    {"18446744073709551616-5 100-4 90", false},
    {"-1-5 100-4 90", false},
    {"", false},
};

TEST_EACH(a_durable_event_has_its_place_or_is_dropped, places)
{
    char payload[128];
    enum counter dropped = COUNTER_COUNT;
    use_rules((const char *const[]){"auto", NULL});
    int len = snprintf(payload, sizeof payload, MAGIC "event: x\ndurable: %s\n\nbody", places[_i].line);
    struct frame *f = frame_of(&policy, channel_ref("c", 1), payload, (size_t)len, &dropped);
    ck_assert_int_eq(f != NULL, places[_i].good);
    ck_assert_int_eq(dropped, f ? COUNTER_COUNT : COUNTER_DROPPED_ENVELOPE);
    if (f) {
        static const char body[] = "event: x\ndata: body\n\n";
        ck_assert(f->durable && event_id_before(f->prev, f->at));
        ck_assert_uint_eq(f->body_len - f->id_line_len, strlen(body));
        ck_assert_mem_eq(f->wire + f->body_at + f->id_line_len, body, strlen(body));
        ck_assert_mem_eq(f->wire + f->body_at, "id: ", 4);
    }
    frame_release(f);
    free_rules();
}

static const struct {
    const char *lines;
    bool ends;
} endings[] = {
    {"end: 1\ndurable: 5-1 0-0 5\n", true},
    {"durable: 5-1 0-0 5\nend: 1\n", true},
    {"durable: 5-1 0-0 5\n", false},
    {"durable: 5-1 0-0 5\nend: 0\n", false},
    {"durable: 5-1 0-0 5\nend: 10\n", false},
    {"durable: 5-1 0-0 5\nend\n", false},
    {"end: 1\n", false}, // a plain channel never ends
};

TEST_EACH(a_durable_event_may_be_the_last_one, endings)
{
    char payload[128];
    enum counter dropped = COUNTER_COUNT;
    use_rules((const char *const[]){"auto", NULL});
    int len = snprintf(payload, sizeof payload, MAGIC "%s\nbody", endings[_i].lines);
    struct frame *f = frame_of(&policy, channel_ref("c", 1), payload, (size_t)len, &dropped);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->ends, endings[_i].ends);
    frame_release(f);
    free_rules();
}

TEST(the_first_rule_that_matches_counts)
{
    use_rules((const char *const[]){"chat:lobby=envelope", "chat:*=text", "chat:*=envelope", NULL});
    ck_assert_int_eq(mode_of("chat:lobby"), PAYLOAD_ENVELOPE);
    ck_assert_int_eq(mode_of("chat:lobby2"), PAYLOAD_TEXT);
    ck_assert_int_eq(mode_of("chat"), PAYLOAD_AUTO);
    ck_assert_int_eq(mode_of("news"), PAYLOAD_AUTO);
    free_rules();
    use_rules((const char *const[]){"user:*=auto", "envelope", "news=text", NULL});
    ck_assert_int_eq(mode_of("user:1"), PAYLOAD_AUTO);
    ck_assert_int_eq(mode_of("news"), PAYLOAD_ENVELOPE);
    free_rules();
}

TEST(without_rules_every_channel_is_auto)
{
    use_rules((const char *const[]){NULL});
    ck_assert_int_eq(mode_of("news"), PAYLOAD_AUTO);
}

static const char *const bad_rules[] = {"",         "json",        "AUTO",       "text ", "=text",
                                        "chat:*",   "chat:*=",     "a b=text",   "*",     "chat*x=text",
                                        "a=b=text", "chat:*=Text", "text=chat:*"};

TEST_EACH(a_rule_that_is_none_is_refused_with_an_example, bad_rules)
{
    struct payload_rule rule;
    char error[256] = "";
    ck_assert(!payload_rule_parse(bad_rules[_i], &rule, error, sizeof error));
    ck_assert_str_eq(error, "is not auto, text, envelope or PATTERN=MODE; write for example chat:*=text");
    ck_assert_ptr_null(rule.pattern);
}

TEST(a_policy_frees_its_rules)
{
    char error[256];
    struct payload_policy p = {.rules = calloc(2, sizeof *p.rules), .count = 2};
    ck_assert(payload_rule_parse("a:*=text", &p.rules[0], error, sizeof error));
    ck_assert(payload_rule_parse("envelope", &p.rules[1], error, sizeof error));
    payload_policy_deinit(&p);
    ck_assert_uint_eq(p.count, 0);
    payload_policy_deinit(&p); // once more is harmless
}

// Several events in one message. What becomes of each: its id, the id before it and its bytes behind the id line, or the
// reason for which it is dropped.
static const struct {
    const char *payload;
    const char *words;
} several[] = {
    {"first: 9-4\nearlier:  a\ndurable: 10-6 10-5 3\n\nb", "10-5<9-4 data: a|| 10-6<10-5 data: b||"},
    {"earlier: x a b\nfirst: 0-0\nevent: y\nretry: 5\nearlier:z \ndurable: 10-3 10-2 10\n\n",
     "10-1<0-0 event: x|data: a b|| 10-2<10-1 event: z|data: || 10-3<10-2 event: y|retry: 5|data: ||"},
    {"first: 0-0\nearlier: a%20b%25 50%25%0D%0Ac%0A\ndurable: 10-2 10-1 10\n\n%0A",
     "10-1<0-0 event: a b%|data: 50%|data: c|data: || 10-2<10-1 data: %0A||"},
    // Only the last one ends the channel.
    {"end: 1\nfirst: 0-0\nearlier:  a\nearlier:  b\ndurable: 10-3 10-2 10\n\nc",
     "10-1<0-0 data: a|| 10-2<10-1 data: b|| 10-3<10-2 last data: c||"},
    {"first: 0-0\nearlier:  \xc3\xa9\nearlier:  a\xff\nearlier: \xff a\ndurable: 10-4 10-3 10\n\n\xc3\xa9",
     "10-1<0-0 data: \xc3\xa9|| not_text not_text 10-4<10-3 data: \xc3\xa9||"},
    {"first: 0-0\nearlier:  a\ndurable: 10-2 10-1 10\n\n\xff", "10-1<0-0 data: a|| not_text"},
    {"first: 0-0\nearlier:  0123456789abcdef\nearlier:  a\ndurable: 10-3 10-2 10\n\n0123456789abcdef",
     "too_large 10-2<10-1 data: a|| too_large"},
    // No name that may be empty, and a blank; an escape that the library does not write; a name of the gateway's own.
    {"first: 0-0\nearlier: a\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  %\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  %2\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  %0d\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  %20\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier: a%0Ab c\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier: gateway:gap c\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  a\rb\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    // Places that do not fit together, or that are not said.
    {"first: 0-0\nearlier:  a\n\nb", "envelope"},
    {"earlier:  a\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  a\ndurable: 10-1 0-0 10\n\nb", "envelope"},
    {"first: 0-0 \nearlier:  a\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 9-1\nearlier:  a\ndurable: 10-2 10-1 10\n\nb", "envelope"},
    {"first: 11-1\nearlier:  a\ndurable: 10-3 10-2 10\n\nb", "envelope"},
    {"first: 9-1\nearlier:  a\ndurable: 10-3 9-2 10\n\nb", "envelope"},
    {"first: 0-0\nearlier:  a\nearlier:  b\ndurable: 10-2 10-1 10\n\nb", "envelope"},
};

// What message_events finds on its stack is 0xff.
static void spoil_stack(void)
{
    volatile char bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xff;
}

static void say(char *out, size_t size, const struct message_event *e)
{
    static const char *const reasons[COUNTER_COUNT] = {[COUNTER_DROPPED_ENVELOPE] = "envelope",
                                                       [COUNTER_DROPPED_NOT_TEXT] = "not_text",
                                                       [COUNTER_DROPPED_TOO_LARGE] = "too_large"};
    const struct frame *f = e->frame;
    if (!f) {
        snprintf(out, size, "%s", reasons[e->dropped]);
        return;
    }
    ck_assert(f->durable && f->epoch > 0 && e->dropped == COUNTER_COUNT);
    int n = snprintf(out, size, "%lu-%lu<%lu-%lu %s%.*s", f->at.ms, f->at.offset, f->prev.ms, f->prev.offset,
                     f->ends ? "last " : "", (int)(f->body_len - f->id_line_len),
                     f->wire + f->body_at + f->id_line_len);
    for (char *at = out; at < out + n; at++)
        *at = *at == '\n' ? '|' : *at;
}

TEST_EACH(each_event_of_a_message_gets_its_place_or_is_dropped_for_its_reason, several)
{
    char text[512], words[1024] = "";
    struct message_event events[MESSAGE_EVENTS_MAX];
    use_rules((const char *const[]){"auto", NULL});
    size_t len = (size_t)snprintf(text, sizeof text, MAGIC "%s", several[_i].payload);
    char *payload = malloc(len);
    memcpy(payload, text, len);
    spoil_stack();
    size_t count = message_events(&policy, channel_ref("c", 1), payload, len, 15, events);
    free(payload);
    for (size_t i = 0; i < count; i++) {
        size_t at = strlen(words);
        words[at] = ' ';
        say(words + at + (at > 0), sizeof words - at - 1, &events[i]);
        frame_release(events[i].frame);
    }
    ck_assert_str_eq(words, several[_i].words);
    free_rules();
}

TEST(a_message_holds_256_events_and_not_one_more)
{
    struct message_event events[MESSAGE_EVENTS_MAX];
    use_rules((const char *const[]){"auto", NULL});
    for (int more = 0; more < 2; more++) {
        char payload[8192];
        int len = snprintf(payload, sizeof payload, MAGIC "first: 0-0\n");
        for (int i = 1; i < 256 + more; i++)
            len += snprintf(payload + len, sizeof payload - (size_t)len, "earlier:  %d\n", i);
        len += snprintf(payload + len, sizeof payload - (size_t)len, "durable: 10-%d 10-%d 10\n\nx",
                        256 + more, 255 + more);
        size_t count = message_events(&policy, channel_ref("c", 1), payload, (size_t)len, 10, events);
        ck_assert_uint_eq(count, more ? 1 : 256);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(events[i].dropped, more ? COUNTER_DROPPED_ENVELOPE : COUNTER_COUNT);
            ck_assert(more || (events[i].frame->at.offset == i + 1 && events[i].frame->at.ms == 10));
            frame_release(events[i].frame);
        }
    }
    free_rules();
}

TEST(what_follows_an_event_follows_the_last_one_of_its_message)
{
    static const char payload[] =
        MAGIC "first: 0-0\nearlier:  a\ntrace-to: sse:trace:4bf92f3577b34da6a3ce929d0e0e4736\ndurable: 10-2 "
              "10-1 10\n\nb";
    struct message_event events[MESSAGE_EVENTS_MAX];
    use_rules((const char *const[]){"auto", NULL});
    ck_assert_uint_eq(message_events(&policy, channel_ref("c", 1), TEXT(payload), 10, events), 2);
    ck_assert_ptr_null(events[0].frame->trace);
    ck_assert_ptr_nonnull(events[1].frame->trace);
    frame_release(events[0].frame);
    frame_release(events[1].frame);
    free_rules();
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct {
    const char *fields;
    const char *trace; // "ID LOGGED REPLY ODD", or NULL: it is not traced
} traces[] = {
    {"", NULL},
    {"event: e\n", NULL},
    {"traceparent: 00-" TRACE "-00f067aa0ba902b7-01\n", TRACE " 1  0"},
    {"traceparent: 00-" TRACE "-00f067aa0ba902b7-00\n", TRACE " 0  0"},
    {"traceparent: 00-" TRACE "\n", " 0  1"},
    {"trace-to: sse:trace:" TRACE "\n", " 0 sse:trace:" TRACE " 0"},
    {"trace-to: user:42\n", " 0  1"},
    {"traceparent:\ntrace-to: sse:trace:" TRACE "\n", " 0 sse:trace:" TRACE " 1"},
    {"traceparent: 00-" TRACE "-00f067aa0ba902b7-01\ndurable: 5-1 0-0 5\n", TRACE " 1  0"},
};

TEST_EACH(an_event_is_followed_where_its_envelope_says_so_and_its_bytes_do_not_tell, traces)
{
    char payload[400], said[200];
    enum counter dropped = COUNTER_COUNT;
    int len = snprintf(payload, sizeof payload, MAGIC "%s\nx", traces[_i].fields);
    struct frame *f = frame_of(&policy, channel_ref("c", 1), payload, (size_t)len, &dropped);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->trace != NULL, traces[_i].trace != NULL);
    if (f->trace) {
        snprintf(said, sizeof said, "%s %d %s %d", f->trace->id, f->trace->is_logged, f->trace->reply,
                 f->trace->is_odd);
        ck_assert_str_eq(said, traces[_i].trace);
    }
    ck_assert_ptr_null(memmem(f->wire, f->wire_len, "trace", 5));
    frame_release(f);
}
