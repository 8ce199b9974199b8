// The load: one process that holds many event streams, publishes to Redis, and checks every delivery.
//
//      load --port P --redis-port R --streams N --channels C [--first F] [--stride S] [--each E]
//      [--path /stream?channel=] [--sources S] [--post PATH] [--prefix NAME] [--tls 12|13] [--token T]
//
// --post publishes with HTTP POST to PATH of the server itself, for a peer that has a protocol of its own
// with Redis. Stream i listens to E channels, of which the one numbered k is NAME:(F + (i * E + k) * S) % C;
// NAME is bench unless told. A stride that has no divisor in common with C keeps streams that were opened one
// after another from getting their messages one after another. Commands on standard input, one answer each on
// standard output (JSON):
//      open                opens the streams: {"opened":N,"seconds":..}
//      publish COUNT RATE BURST SIZE
//                          COUNT messages at RATE a second (0: as fast as Redis takes them), BURST at a time,
//                          round robin over the channels, then waits until all has arrived:
//                          {"deliveries":..,"lost":..,"duplicated":..,"reordered":..,"seconds":..,
//                          "latency_us":{..},"last_us":{..},"late_us":{..}}
//                          Bursts are due evenly, and each is sent in one write when it is due, whatever has
//                          become of those before (open loop). Latency counts from that write; late_us says
//                          how long after it was due that was: what the load took, not the server.
//      listen COUNT        same, but another process publishes
//      keep COUNT SIZE     publishes COUNT durable messages, round robin: {"kept":COUNT}
//      resume COUNT        opens the streams, all at once, for all that was kept, and waits for it; answers
//                          like publish
//      reconnect           publishes over a new connection from now on: {"connected":true}
//      hold SECONDS        reads (heartbeats) for so long
//      quit

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/load.h"

#define SETTLE_NS UINT64_C(10000000000) // without any delivery for so long, what is missing is lost

void load_die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void command_open(struct load *l)
{
    uint64_t begin = clock_monotonic_ns();
    for (uint32_t i = 0; i < l->stream_count; i++)
        load_open_stream(l, i);
    printf("{\"opened\":%u,\"seconds\":%.6f}\n", l->stream_count,
           (double)(clock_monotonic_ns() - begin) / 1e9);
}

static void run_begin(struct load *l, uint32_t count)
{
    free(l->message_last);
    free(l->message_sent);
    l->message_last = calloc(count, sizeof *l->message_last);
    l->message_sent = calloc(count, sizeof *l->message_sent);
    if (!l->message_last || !l->message_sent)
        load_die("out of memory");
    l->run_size = count;
    l->deliveries = l->duplicated = l->reordered = l->expected = 0;
    l->latency = l->last = l->late = (struct histogram){0};
    for (uint32_t i = 0; i < l->stream_count; i++) {
        l->streams[i].next = l->sent[load_channel(l, i, 0)] + 1;
        // Round robin: channel c gets the messages c, c + C, c + 2C, ..
        for (uint32_t k = 0; k < l->channels_each; k++)
            l->expected += count / l->channel_count + (load_channel(l, i, k) < count % l->channel_count);
    }
    l->last_delivery_ns = clock_monotonic_ns();
}

static void print_percentiles(const char *name, const struct histogram *h)
{
    printf("\"%s\":{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
           ",\"max\":%" PRIu64 "}",
           name, histogram_at(h, 0.50), histogram_at(h, 0.90), histogram_at(h, 0.99), histogram_at(h, 0.999),
           h->max);
}

static void run_end(struct load *l, uint64_t begin)
{
    while (l->deliveries < l->expected && clock_monotonic_ns() - l->last_delivery_ns < SETTLE_NS) {
        load_turn(l, 10000000);
        load_flush(l);
    }
    uint64_t end = l->last_delivery_ns;
    for (uint32_t i = 0; i < l->run_size; i++)
        if (l->message_last[i])
            histogram_add(&l->last, (l->message_last[i] - l->message_sent[i]) / 1000);
    uint64_t arrived = l->deliveries - l->duplicated;
    printf("{\"expected\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"closed\":%" PRIu64 ",\"seconds\":%.6f,",
           l->expected, l->deliveries, l->expected > arrived ? l->expected - arrived : 0, l->duplicated,
           l->reordered, l->closed, (double)(end - begin) / 1e9);
    print_percentiles("latency_us", &l->latency);
    printf(",");
    print_percentiles("last_us", &l->last);
    printf(",");
    print_percentiles("late_us", &l->late);
    printf("}\n");
}

// When message number `sent` of a run is due: evenly, however long the ones before it took.
static uint64_t due_at(uint64_t begin, uint32_t sent, uint32_t rate)
{
    return begin + (uint64_t)sent * 1000000000u / rate;
}

static void command_publish(struct load *l, uint32_t count, uint32_t rate, uint32_t burst, uint32_t size)
{
    run_begin(l, count);
    uint64_t begin = clock_monotonic_ns();
    for (uint32_t sent = 0; sent < count;) {
        uint64_t now = clock_monotonic_ns(), due = rate ? due_at(begin, sent, rate) : now;
        if (now >= due && l->out.len - l->out_sent < 1 << 20) {
            histogram_add(&l->late, (now - due) / 1000);
            for (uint32_t i = 0; i < burst && sent < count; i++)
                load_publish(l, sent++, size, 0);
            now = clock_monotonic_ns();
        }
        load_flush(l);
        uint64_t next = rate ? due_at(begin, sent, rate) : now;
        load_turn(l, next > now ? next - now : 0);
    }
    run_end(l, begin);
}

static void command_listen(struct load *l, uint32_t count)
{
    run_begin(l, count);
    run_end(l, clock_monotonic_ns());
    for (uint32_t c = 0; c < l->channel_count; c++) // what the other process has published meanwhile
        l->sent[c] += count / l->channel_count + (c < count % l->channel_count);
}

// Gone to Redis, and answered: what follows finds it there.
static void command_keep(struct load *l, uint32_t count, uint32_t size)
{
    char answer[READ_SIZE];
    for (uint32_t i = 0; i < count; i++)
        load_publish(l, i, size, count);
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    if (!buf_append(&l->out, ping, sizeof ping - 1) ||
        send(l->redis, l->out.data, l->out.len, MSG_NOSIGNAL) != (ssize_t)l->out.len)
        load_die("Redis");
    buf_clear(&l->out);
    for (size_t len = 0; len < 7 || memcmp(answer + len - 7, "+PONG\r\n", 7) != 0;) {
        if (len > sizeof answer / 2) {
            memmove(answer, answer + len - 16, 16);
            len = 16;
        }
        ssize_t n = recv(l->redis, answer + len, sizeof answer - len, 0);
        if (n <= 0)
            load_die("Redis");
        len += (size_t)n;
    }
    printf("{\"kept\":%u}\n", count);
}

static void command_resume(struct load *l, uint32_t count)
{
    for (uint32_t c = 0; c < l->channel_count; c++)
        l->sent[c] = 0; // what is kept is numbered from 1
    run_begin(l, count);
    uint64_t begin = clock_monotonic_ns();
    for (uint32_t i = 0; i < l->stream_count; i++)
        load_request(l, i, "&last_event_id=earliest");
    run_end(l, begin);
}

static void command_hold(struct load *l, uint32_t seconds)
{
    uint64_t until = clock_monotonic_ns() + (uint64_t)seconds * 1000000000u;
    while (clock_monotonic_ns() < until)
        load_turn(l, 100000000);
    printf("{\"held\":%u,\"closed\":%" PRIu64 "}\n", seconds, l->closed);
}

static void connect_publisher(struct load *l)
{
    l->redis = load_connect(0, (uint16_t)(l->post ? l->port : l->redis_port));
}

static void command_reconnect(struct load *l)
{
    close(l->redis);
    buf_clear(&l->out);
    l->out_sent = 0;
    connect_publisher(l);
    printf("{\"connected\":true}\n");
}

static void usage(void)
{
    fputs("usage: load --port P --redis-port R --streams N --channels C [--first F] [--stride S] [--each E] "
          "[--path P] [--sources S] [--post P] [--prefix NAME] [--tls 12|13] [--token T]\n",
          stderr);
    exit(2);
}

static void read_arguments(struct load *l, int argc, char **argv)
{
    const struct {
        const char *name;
        uint32_t *number;
        const char **text;
    } options[] = {
        {"--port", &l->port, NULL},
        {"--redis-port", &l->redis_port, NULL},
        {"--streams", &l->stream_count, NULL},
        {"--channels", &l->channel_count, NULL},
        {"--first", &l->first, NULL},
        {"--stride", &l->stride, NULL},
        {"--each", &l->channels_each, NULL},
        {"--sources", &l->sources, NULL},
        {"--tls", &l->tls, NULL},
        {"--path", NULL, &l->path},
        {"--post", NULL, &l->post},
        {"--prefix", NULL, &l->prefix},
        {"--token", NULL, &l->token},
    };
    const size_t known = sizeof options / sizeof *options;
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t k = 0;
        while (k < known && strcmp(argv[i], options[k].name) != 0)
            k++;
        if (k == known)
            usage();
        if (options[k].number)
            *options[k].number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else
            *options[k].text = argv[i + 1];
    }
    if (argc % 2 == 0 || !l->port || !l->redis_port || !l->channel_count || !l->channels_each || !l->sources)
        usage();
}

static bool obey(struct load *l, const char *line)
{
    uint32_t a = 0, b = 0, c = 1, d = 100;
    if (strncmp(line, "open", 4) == 0)
        command_open(l);
    else if (sscanf(line, "publish %u %u %u %u", &a, &b, &c, &d) == 4)
        command_publish(l, a, b, c, d);
    else if (sscanf(line, "listen %u", &a) == 1)
        command_listen(l, a);
    else if (sscanf(line, "keep %u %u", &a, &d) == 2)
        command_keep(l, a, d);
    else if (sscanf(line, "resume %u", &a) == 1)
        command_resume(l, a);
    else if (strncmp(line, "reconnect", 9) == 0)
        command_reconnect(l);
    else if (sscanf(line, "hold %u", &a) == 1)
        command_hold(l, a);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct load load = {.path = "/stream?channel=",
                               .prefix = "bench",
                               .sources = 4,
                               .channel_count = 1,
                               .channels_each = 1,
                               .stride = 1};
    struct load *l = &load;
    read_arguments(l, argc, argv);
    l->streams = calloc(l->stream_count + 1, sizeof *l->streams);
    l->sent = calloc(l->channel_count, sizeof *l->sent);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    // A message is due to the microsecond: no slack of 50 us in epoll_pwait2.
    if (!l->streams || !l->sent || l->epoll < 0 || prctl(PR_SET_TIMERSLACK, 1) != 0)
        load_die("start");
    if (l->tls && (!(l->context = SSL_CTX_new(TLS_client_method())) ||
                   SSL_CTX_set_max_proto_version(l->context, l->tls == 12 ? TLS1_2_VERSION : 0) != 1))
        load_die("TLS");
    connect_publisher(l);
    setvbuf(stdout, NULL, _IOLBF, 0);
    char line[256];
    while (fgets(line, sizeof line, stdin) && obey(l, line))
        ;
    return 0;
}
