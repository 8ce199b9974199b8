// The floor: a server that does nothing else. One thread, epoll, a fixed head, and for each message from
// Redis one send() per socket from one buffer. What makes one system call per delivery cannot beat it. No
// errors are handled that the bench does not make.
//
//      floor PORT REDIS_PORT

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

struct channel {
    UT_hash_handle hh;
    char name[64];
    int *fds;
    size_t count, capacity;
};

static struct channel *channels;
static redisContext *redis;
static int epoll_fd;

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                           "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nc\r\nretry: 2000\n\r\n";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void subscribe(const char *name, int fd)
{
    struct channel *c;
    HASH_FIND_STR(channels, name, c);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        strncpy(c->name, name, sizeof c->name - 1);
        HASH_ADD_STR(channels, name, c);
        char *command;
        int len = redisFormatCommand(&command, "SUBSCRIBE %s", name);
        if (send(redis->fd, command, (size_t)len, 0) != len)
            die("Redis");
        free(command);
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 1;
        c->fds = realloc(c->fds, c->capacity * sizeof *c->fds);
        if (!c->fds)
            die("realloc");
    }
    c->fds[c->count++] = fd;
}

static void on_request(int fd)
{
    char bytes[4096], name[64];
    ssize_t n = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (n <= 0) {
        close(fd);
        return;
    }
    bytes[n] = '\0';
    char *at = strstr(bytes, "channel=");
    if (!at || sscanf(at + 8, "%63[^ &]", name) != 1 || send(fd, head, sizeof head - 1, MSG_NOSIGNAL) < 0) {
        close(fd);
        return;
    }
    subscribe(name, fd);
}

static void deliver(const char *name, const char *data, size_t len)
{
    static char frame[1 << 21];
    struct channel *c;
    HASH_FIND_STR(channels, name, c);
    if (!c || len > sizeof frame - 64)
        return;
    int n = sprintf(frame, "%zx\r\ndata: ", len + 8);
    memcpy(frame + n, data, len);
    memcpy(frame + n + len, "\n\n\r\n", 4);
    for (size_t i = 0; i < c->count; i++)
        (void)!send(c->fds[i], frame, (size_t)n + len + 4, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_redis(void)
{
    void *reply;
    if (redisBufferRead(redis) != REDIS_OK)
        die("Redis");
    while (redisReaderGetReply(redis->reader, &reply) == REDIS_OK && reply) {
        redisReply *r = reply;
        if (r->elements == 3 && strcmp(r->element[0]->str, "message") == 0)
            deliver(r->element[1]->str, r->element[2]->str, r->element[2]->len);
        freeReplyObject(r);
    }
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int door = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    redis = redisConnect("127.0.0.1", atoi(argv[2]));
    epoll_fd = epoll_create1(0);
    if (bind(door, (struct sockaddr *)&at, sizeof at) != 0 || listen(door, 4096) != 0 || !redis || redis->err)
        die("start");
    watch(door);
    watch(redis->fd);
    for (;;) {
        struct epoll_event events[512];
        int n = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == redis->fd) {
                on_redis();
            } else if (fd == door) {
                int client = accept4(door, NULL, NULL, SOCK_NONBLOCK);
                if (client >= 0)
                    watch(client);
            } else {
                on_request(fd);
            }
        }
    }
}
