// What the load publishes: to Redis, or to the server itself.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "tests/bench/load.h"

void load_flush(struct load *l)
{
    char ignored[READ_SIZE];
    while (l->out_sent < l->out.len) {
        ssize_t n =
            send(l->redis, l->out.data + l->out_sent, l->out.len - l->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            load_die("Redis");
        l->out_sent += (size_t)n;
    }
    if (l->out_sent == l->out.len) {
        buf_clear(&l->out);
        l->out_sent = 0;
    }
    while (recv(l->redis, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
        ; // replies to PUBLISH
}

void load_publish(struct load *l, uint32_t message, uint32_t size, uint32_t keep)
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
        load_die("out of memory");
}
