#include "gateway/process/listening.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/log.h"

size_t listening_count(const struct listening *l, const struct config *c)
{
    size_t inherited = inherited_count(&l->inherited, LISTENER_PUBLIC);
    return inherited > 0 ? inherited : c->listen.count;
}

static void log_streams(const struct config *c, const char *bound, const char *how)
{
    log_info("listener", "streams at %s://%s%s%s", c->tls ? "https" : "http", bound, c->path, how);
}

static bool bind_public(struct listening *l, const struct config *c)
{
    char error[512];
    int fds[WORKERS_MAX];
    for (size_t i = 0; i < c->listen.count; i++) {
        l->addresses[i] = (struct listen_address){.text = c->listen.items[i], .access = c->listen_access};
        if (!listen_address_bind(&l->addresses[i], c->workers, fds, error, sizeof error)) {
            log_error("listener", "--listen: %s", error);
            return false;
        }
        for (size_t w = 0; w < c->workers; w++)
            l->sockets[w][i] = (struct listen_socket){
                .fd = fds[w], .attributes = {.role = LISTENER_PUBLIC, .tls = c->tls != NULL}};
        log_streams(c, l->addresses[i].bound, "");
    }
    return true;
}

// Workers share an inherited socket, each with a descriptor of its own: sockets that were made beside it with
// SO_REUSEPORT would be closed, with the connections that wait in them, when this process ends.
static bool share_one(struct listening *l, const struct config *c, const struct inherited_socket *from,
                      size_t at)
{
    for (size_t w = 0; w < c->workers; w++) {
        int fd = w == 0 ? from->fd : fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            log_error("listener", "cannot listen on %s: %s", from->bound, strerror(errno));
            return false;
        }
        l->sockets[w][at] = (struct listen_socket){
            .fd = fd, .attributes = {.role = LISTENER_PUBLIC, .tls = c->tls != NULL, .is_inherited = true}};
    }
    log_streams(c, from->bound, ", by an inherited socket in the place of --listen");
    return true;
}

static bool share_public(struct listening *l, const struct config *c)
{
    size_t count = 0;
    for (size_t i = 0; i < l->inherited.count; i++) {
        if (l->inherited.items[i].role == LISTENER_PUBLIC &&
            !share_one(l, c, &l->inherited.items[i], count++))
            return false;
    }
    assert(count == listening_count(l, c));
    return true;
}

static bool open_admin(struct listening *l, const struct config *c)
{
    char error[512];
    l->admin = (struct listen_socket){.fd = -1, .attributes = {.role = LISTENER_ADMIN}};
    for (size_t s = 0; s < l->inherited.count; s++) {
        if (l->inherited.items[s].role != LISTENER_ADMIN)
            continue;
        l->admin.fd = l->inherited.items[s].fd;
        l->admin.attributes.is_inherited = true;
        log_info("listener",
                 "metrics at http://%s/metrics, by an inherited socket in the place of --admin-listen",
                 l->inherited.items[s].bound);
        return true;
    }
    if (strcmp(c->admin_listen, "off") == 0)
        return true;
    l->admin_address = (struct listen_address){.text = c->admin_listen, .access = c->listen_access};
    if (!listen_address_bind(&l->admin_address, 1, &l->admin.fd, error, sizeof error)) {
        log_error("listener", "--admin-listen: %s", error);
        return false;
    }
    log_info("listener", "metrics at http://%s/metrics, a dashboard at /dashboard", l->admin_address.bound);
    return true;
}

bool listening_open(struct listening *l, const struct config *c)
{
    bool inherits = inherited_count(&l->inherited, LISTENER_PUBLIC) > 0;
    return (inherits ? share_public(l, c) : bind_public(l, c)) && open_admin(l, c);
}

bool listening_has_files(const struct listening *l)
{
    bool has = l->admin_address.has_file;
    for (size_t i = 0; i < LISTEN_MAX; i++)
        has = has || l->addresses[i].has_file;
    return has;
}

void listening_remove_files(struct listening *l)
{
    for (size_t i = 0; i < LISTEN_MAX; i++)
        listen_address_remove(&l->addresses[i]);
    listen_address_remove(&l->admin_address);
}
