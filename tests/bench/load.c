// The load: one process that holds many event streams, publishes to Redis, and checks every delivery.
//
//      load --port P --redis-port R --streams N --channels C [--first F] [--path /stream?channel=] [--sources
//      S] [--post PATH] [--prefix NAME]
//
// --post publishes with HTTP POST to PATH of the server itself, for a peer that has a protocol of its own
// with Redis. Stream i listens to channel NAME:(F + i) % C, NAME being bench unless told. Commands on
// standard input, one answer each on standard output (JSON):
//      open                     opens the streams:          {"opened":N,"seconds":..}
//      publish COUNT RATE BURST SIZE   COUNT messages at RATE a second (0: as fast as Redis takes them),
//      BURST at a time, round
//                               robin over the channels, then waits until all has arrived:
//                               {"deliveries":..,"lost":..,"duplicated":..,"reordered":..,"seconds":..,"latency_us":{..},"last_us":{..}}
//      listen COUNT             same, but another process publishes
//      keep COUNT SIZE          publishes COUNT durable messages, round robin: {"kept":COUNT}
//      resume COUNT             opens the streams, all at once, for all that was kept, and waits for it;
//      answers
//                               like publish
//      hold SECONDS             reads (heartbeats) for so long
//      quit

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "tests/bench/histogram.h"

// "#channel-sequence message time ": three numbers of fixed width, so that a message is recognized by its
// first bytes, which no server writes on its own.
#define MARK "#0"
#define STAMP_FORMAT "#%010u %010u %020" PRIu64 " "
#define STAMP_LEN (1 + 10 + 1 + 10 + 1 + 20 + 1)
#define CARRY_MAX STAMP_LEN
#define READ_SIZE 65536
#define SETTLE_NS UINT64_C(10000000000) // without any delivery for so long, what is missing is lost

struct stream {
    int fd;
    uint32_t channel;
    uint32_t next; // sequence number expected; 0 before the first of a run
    uint8_t carry_len;
    char carry[CARRY_MAX];
};

struct load {
    uint16_t port, redis_port;
    const char *path, *post, *prefix;
    uint32_t stream_count, channel_count, first, sources;
    int epoll, redis;
    struct stream *streams;
    uint32_t *sent; // per channel
    struct buf out; // to Redis
    size_t out_sent;
    // of a run
    uint64_t expected, deliveries, duplicated, reordered, closed;
    uint64_t last_delivery_ns;
    uint32_t run_size;
    uint64_t *message_last; // when the last stream got a message; 0 while none has
    uint64_t *message_sent;
    struct histogram latency, last;
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001u + host)};
}

static int connect_from(uint32_t source, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in from = loopback(source, 0), to = loopback(0, port);
    if (fd < 0)
        die("socket");
    // The source port is chosen at connect, so that each source address has the whole range.
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    return fd;
}

static void on_message(struct load *l, struct stream *s, const char *stamp)
{
    uint32_t sequence = (uint32_t)strtoul(stamp + 1, NULL, 10),
             message = (uint32_t)strtoul(stamp + 12, NULL, 10);
    uint64_t sent = strtoull(stamp + 23, NULL, 10), now = clock_monotonic_ns();
    if (message >= l->run_size)
        return;
    if (s->next != 0 && sequence < s->next)
        l->duplicated++;
    else if (s->next != 0 && sequence > s->next)
        l->reordered++; // or lost: the count of deliveries tells
    s->next = sequence + 1;
    l->deliveries++;
    l->last_delivery_ns = now;
    l->message_last[message] = now;
    l->message_sent[message] = sent;
    histogram_add(&l->latency, (now - sent) / 1000);
}

// Finds the messages in what came, whatever the server writes around them. A tail that may be the begin of
// one is kept.
static void scan(struct load *l, struct stream *s, char *bytes, size_t len)
{
    const size_t mark = sizeof MARK - 1;
    char *at = bytes, *end = bytes + len;
    while ((size_t)(end - at) >= STAMP_LEN) {
        char *found = memmem(at, (size_t)(end - at), MARK, mark);
        at = found ? found : end - (mark - 1);
        if ((size_t)(end - at) < STAMP_LEN)
            break;
        on_message(l, s, at);
        at += STAMP_LEN;
    }
    size_t rest = (size_t)(end - at);
    s->carry_len = (uint8_t)rest;
    memcpy(s->carry, at, rest);
}

static void on_readable(struct load *l, struct stream *s)
{
    char bytes[CARRY_MAX + READ_SIZE];
    memcpy(bytes, s->carry, s->carry_len);
    ssize_t n = recv(s->fd, bytes + s->carry_len, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        l->closed++;
        (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
        return;
    }
    scan(l, s, bytes, s->carry_len + (size_t)n);
}

static void turn(struct load *l, int wait_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(l->epoll, events, 512, wait_ms);
    for (int i = 0; i < n; i++)
        on_readable(l, events[i].data.ptr);
}

static void request_stream(struct load *l, uint32_t i, const char *more)
{
    struct stream *s = &l->streams[i];
    char request[512];
    s->channel = (l->first + i) % l->channel_count;
    s->fd = connect_from(1 + i % l->sources, l->port);
    int len = snprintf(request, sizeof request,
                       "GET %s%s:%u%s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", l->path,
                       l->prefix, s->channel, more);
    if (send(s->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        die("send");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &event) != 0)
        die("epoll_ctl");
}

// One after another, so that the server's cost of accepting is measured and not its queue. The answer's first
// bytes are awaited.
static void open_stream(struct load *l, uint32_t i)
{
    char answer[2048];
    request_stream(l, i, "");
    ssize_t n = recv(l->streams[i].fd, answer, sizeof answer - 1, 0);
    if (n < 12 || memcmp(answer + 9, "200", 3) != 0) {
        fprintf(stderr, "load: stream %u was not opened: %.*s\n", i, n > 0 ? (int)n : 0, answer);
        exit(1);
    }
}

static void command_open(struct load *l)
{
    uint64_t begin = clock_monotonic_ns();
    for (uint32_t i = 0; i < l->stream_count; i++)
        open_stream(l, i);
    printf("{\"opened\":%u,\"seconds\":%.6f}\n", l->stream_count,
           (double)(clock_monotonic_ns() - begin) / 1e9);
}

static void redis_write(struct load *l)
{
    char ignored[READ_SIZE];
    while (l->out_sent < l->out.len) {
        ssize_t n =
            send(l->redis, l->out.data + l->out_sent, l->out.len - l->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            die("Redis");
        l->out_sent += (size_t)n;
    }
    if (l->out_sent == l->out.len) {
        buf_clear(&l->out);
        l->out_sent = 0;
    }
    while (recv(l->redis, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
        ; // replies to PUBLISH
}

// `keep`: so many are kept as history; 0 for a plain message.
static void publish_one(struct load *l, uint32_t message, uint32_t size, uint32_t keep)
{
    uint32_t channel = message % l->channel_count;
    char name[64], stamp[STAMP_LEN + 1], kept[16];
    int name_len = snprintf(name, sizeof name, "%s:%u", l->prefix, channel);
    int kept_len = snprintf(kept, sizeof kept, "%u", keep);
    snprintf(stamp, sizeof stamp, STAMP_FORMAT, ++l->sent[channel], message, clock_monotonic_ns());
    if (size < STAMP_LEN)
        size = STAMP_LEN;
    bool ok;
    if (l->post)
        ok = buf_printf(&l->out, "POST %s%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %u\r\n\r\n%s", l->post,
                        name, size, stamp);
    else if (keep)
        ok = buf_printf(&l->out,
                        "*9\r\n$5\r\nFCALL\r\n$11\r\nsse_publish\r\n$1\r\n1\r\n$%d\r\n%s\r\n$%u\r\n%s",
                        name_len, name, size, stamp);
    else
        ok =
            buf_printf(&l->out, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%u\r\n%s", name_len, name, size, stamp);
    for (uint32_t left = size - STAMP_LEN; ok && left > 0;) {
        static const char pad[] =
            "................................................................................";
        uint32_t n = left < sizeof pad - 1 ? left : (uint32_t)sizeof pad - 1;
        ok = buf_append(&l->out, pad, n);
        left -= n;
    }
    ok = ok && (l->post || buf_append(&l->out, "\r\n", 2));
    if (ok && keep)
        ok = buf_printf(&l->out, "$0\r\n\r\n$0\r\n\r\n$6\r\nmaxlen\r\n$%d\r\n%s\r\n", kept_len, kept);
    if (!ok)
        die("out of memory");
}

static void run_begin(struct load *l, uint32_t count)
{
    free(l->message_last);
    free(l->message_sent);
    l->message_last = calloc(count, sizeof *l->message_last);
    l->message_sent = calloc(count, sizeof *l->message_sent);
    if (!l->message_last || !l->message_sent)
        die("out of memory");
    l->run_size = count;
    l->deliveries = l->duplicated = l->reordered = l->expected = 0;
    l->latency = l->last = (struct histogram){0};
    for (uint32_t i = 0; i < l->stream_count; i++) {
        struct stream *s = &l->streams[i];
        s->next = l->sent[s->channel] + 1;
        // Round robin: channel c gets the messages c, c + C, c + 2C, ..
        l->expected += count / l->channel_count + (s->channel < count % l->channel_count);
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
        turn(l, 10);
        redis_write(l);
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
    printf("}\n");
}

static void command_publish(struct load *l, uint32_t count, uint32_t rate, uint32_t burst, uint32_t size)
{
    run_begin(l, count);
    uint64_t begin = clock_monotonic_ns();
    for (uint32_t sent = 0; sent < count;) {
        uint64_t due = rate ? begin + (uint64_t)sent * 1000000000u / rate : 0;
        uint64_t now = clock_monotonic_ns();
        if (now >= due && l->out.len - l->out_sent < 1 << 20) {
            for (uint32_t i = 0; i < burst && sent < count; i++)
                publish_one(l, sent++, size, 0);
            redis_write(l);
            turn(l, 0);
        } else {
            redis_write(l);
            turn(l, due > now + 2000000 ? 1 : 0);
        }
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
        publish_one(l, i, size, count);
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    if (!buf_append(&l->out, ping, sizeof ping - 1) ||
        send(l->redis, l->out.data, l->out.len, MSG_NOSIGNAL) != (ssize_t)l->out.len)
        die("Redis");
    buf_clear(&l->out);
    for (size_t len = 0; len < 7 || memcmp(answer + len - 7, "+PONG\r\n", 7) != 0;) {
        if (len > sizeof answer / 2) {
            memmove(answer, answer + len - 16, 16);
            len = 16;
        }
        ssize_t n = recv(l->redis, answer + len, sizeof answer - len, 0);
        if (n <= 0)
            die("Redis");
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
        request_stream(l, i, "&last_event_id=earliest");
    run_end(l, begin);
}

static void command_hold(struct load *l, uint32_t seconds)
{
    uint64_t until = clock_monotonic_ns() + (uint64_t)seconds * 1000000000u;
    while (clock_monotonic_ns() < until)
        turn(l, 100);
    printf("{\"held\":%u,\"closed\":%" PRIu64 "}\n", seconds, l->closed);
}

static void usage(void)
{
    fputs("usage: load --port P --redis-port R --streams N --channels C [--first F] [--path P] [--sources S] "
          "[--post P] [--prefix NAME]\n",
          stderr);
    exit(2);
}

static void read_arguments(struct load *l, int argc, char **argv)
{
    *l = (struct load){.path = "/stream?channel=", .prefix = "bench", .sources = 4, .channel_count = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint32_t number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0)
            l->port = (uint16_t)number;
        else if (strcmp(argv[i], "--redis-port") == 0)
            l->redis_port = (uint16_t)number;
        else if (strcmp(argv[i], "--streams") == 0)
            l->stream_count = number;
        else if (strcmp(argv[i], "--channels") == 0)
            l->channel_count = number;
        else if (strcmp(argv[i], "--first") == 0)
            l->first = number;
        else if (strcmp(argv[i], "--sources") == 0)
            l->sources = number;
        else if (strcmp(argv[i], "--path") == 0)
            l->path = argv[i + 1];
        else if (strcmp(argv[i], "--post") == 0)
            l->post = argv[i + 1];
        else if (strcmp(argv[i], "--prefix") == 0)
            l->prefix = argv[i + 1];
        else
            usage();
    }
    if (argc % 2 == 0 || !l->port || !l->redis_port || !l->channel_count || !l->sources)
        usage();
}

int main(int argc, char **argv)
{
    static struct load load;
    struct load *l = &load;
    read_arguments(l, argc, argv);
    l->streams = calloc(l->stream_count + 1, sizeof *l->streams);
    l->sent = calloc(l->channel_count, sizeof *l->sent);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l->streams || !l->sent || l->epoll < 0)
        die("start");
    l->redis = connect_from(0, l->post ? l->port : l->redis_port); // where to publish
    setvbuf(stdout, NULL, _IOLBF, 0);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
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
        else if (sscanf(line, "hold %u", &a) == 1)
            command_hold(l, a);
        else
            break;
    }
    return 0;
}
