#include "gateway/process/metric_values.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/process/health.h"
#include "gateway/process/rebalance.h"

static void put(struct metric_values *v, enum metric_value which, double value)
{
    v->value[which] = value;
    v->is_there[which] = true;
}

static void read_state(struct metric_values *v, const struct status *s)
{
    uint64_t now = clock_monotonic_ms(), deadline = atomic_load(&s->drain_deadline_ms);
    uint64_t left = deadline > now ? (deadline - now + 999) / 1000 : 0, uptime = (now - s->started_at) / 1000;
    put(v, VALUE_READY, health_is_ready(s));
    put(v, VALUE_DRAINING, atomic_load(&s->draining));
    if (atomic_load(&s->draining)) {
        put(v, VALUE_DRAIN_STREAMS, (double)atomic_load(&s->drain_streams));
        put(v, VALUE_DRAIN_SECONDS_LEFT, (double)left);
    }
    put(v, VALUE_WORKERS, (double)s->worker_count);
    put(v, VALUE_CAPACITY, (double)s->limits.max_streams);
    put(v, VALUE_UPTIME, (double)uptime);
    if (s->users)
        put(v, VALUE_USERS_BYTES, (double)users_bytes(s->users));
}

static void read_canary(struct metric_values *v, struct bus *bus)
{
    struct bus_view view;
    uint64_t oldest = UINT64_MAX, now = clock_monotonic_ms();
    (void)bus_look(bus, &view); // empty when out of memory
    for (size_t i = 0; i < view.count; i++)
        if (view.nodes[i].is_used && view.nodes[i].canary_back_ms < oldest)
            oldest = view.nodes[i].canary_back_ms;
    if (oldest != 0 && oldest <= now)
        put(v, VALUE_CANARY_AGE, (double)(now - oldest) / 1000);
    bus_view_free(&view);
}

static void read_tier(struct metric_values *v, struct rebalance *r)
{
    const struct rebalance_figures now = rebalance_figures(r);
    put(v, VALUE_TIER_GATEWAYS, (double)now.gateways);
    put(v, VALUE_TIER_CONNECTIONS, (double)now.connections);
    put(v, VALUE_REBALANCE_TARGET, (double)now.target);
    put(v, VALUE_REBALANCE_SURPLUS, (double)now.surplus);
    put(v, VALUE_REBALANCE_RUNNING, now.is_running);
}

static void read_keys(struct metric_values *v, struct authenticator *a)
{
    struct authenticator_state keys;
    authenticator_look(a, &keys);
    put(v, VALUE_KEYS, (double)keys.keys);
    put(v, VALUE_KEYS_SKIPPED, (double)keys.skipped);
    if (!keys.fetches)
        return;
    if (keys.fetch.has_fetched) // an age of 0 would say that there are keys, and fresh ones
        put(v, VALUE_JWKS_AGE, (double)keys.fetch.age_s);
    put(v, VALUE_JWKS_FETCHES, (double)keys.fetch.ok);
    put(v, VALUE_JWKS_FAILURES, (double)keys.fetch.failed);
}

// Total and resident pages are the first fields of /proc/self/statm (proc(5)).
static void read_memory(struct metric_values *v)
{
    unsigned long long size, resident;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return;
    // NOLINTNEXTLINE(cert-err34-c): the kernel wrote these numbers, so none is out of range
    if (fscanf(f, "%llu %llu", &size, &resident) == 2) {
        double page = (double)sysconf(_SC_PAGESIZE);
        put(v, VALUE_RESIDENT, (double)resident * page);
        put(v, VALUE_PROCESS_RESIDENT, (double)resident * page);
        put(v, VALUE_PROCESS_VIRTUAL, (double)size * page);
    }
    (void)fclose(f);
}

// The size of the folder is the number of its descriptors since Linux 6.2, and 0 before.
//
// Else one entry is for each descriptor, one of them that of the folder itself; "." and ".." are none.
static void read_descriptors(struct metric_values *v)
{
    struct rlimit limit;
    struct stat folder;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        put(v, VALUE_MAX_FDS, (double)limit.rlim_cur);
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
        put(v, VALUE_OPEN_FDS, (double)folder.st_size);
        return;
    }
    DIR *fds = opendir("/proc/self/fd");
    if (!fds)
        return;
    double count = -1;
    for (const struct dirent *e; (e = readdir(fds));)
        count += e->d_name[0] != '.';
    (void)closedir(fds);
    put(v, VALUE_OPEN_FDS, count);
}

void metric_values_read_usage(struct metric_values *v)
{
    struct timespec cpu;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        put(v, VALUE_CPU, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    read_memory(v);
}

static void read_process(struct metric_values *v, const struct status *s)
{
    metric_values_read_usage(v);
    put(v, VALUE_START_TIME, (double)s->started_wall);
    put(v, VALUE_LOG_LINES_DROPPED, (double)log_dropped());
    read_descriptors(v);
}

void metric_values_read(struct metric_values *v, const struct status *s)
{
    *v = (struct metric_values){0};
    read_state(v, s);
    read_canary(v, s->bus);
    if (s->rebalance)
        read_tier(v, s->rebalance);
    if (s->authenticator)
        read_keys(v, s->authenticator);
    read_process(v, s);
}
