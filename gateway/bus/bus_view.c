#include "gateway/bus/bus_view.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "gateway/bus/cluster.h"
#include "gateway/bus/node.h"
#include "gateway/bus/questions.h"

static void add_conn(struct bus_node_view *v, const struct redis_conn *c)
{
    assert(v->conn_count < BUS_VIEW_CONNS_MAX);
    redis_conn_look(c, &v->conns[v->conn_count++]);
}

static void take_node(struct bus_node_view *v, const struct cluster *cl, const struct node *n)
{
    v->conn_count = 0;
    v->is_used = cluster_uses(cl, n);
    v->canary_back_ms = canary_back_ms(n->canary);
    utf8_copy_ascii(v->fault, sizeof v->fault, node_fault(n));
    add_conn(v, redis_pubsub_conn(n->pubsub));
    add_conn(v, canary_conn(n->canary));
    if (n->history)
        add_conn(v, history_conn(n->history));
    if (n->questions)
        add_conn(v, questions_conn(n->questions));
}

static void make_room(struct bus_view *v, size_t count)
{
    if (count <= v->capacity)
        return;
    struct bus_node_view *nodes = realloc(v->nodes, count * sizeof *nodes);
    if (!nodes)
        return;
    v->nodes = nodes;
    v->capacity = count;
}

void bus_view_take(struct bus_view *v, const struct cluster *cl)
{
    const struct node *n;
    make_room(v, cluster_node_count(cl));
    for (v->count = 0; v->count < v->capacity && (n = cluster_node(cl, v->count)); v->count++)
        take_node(&v->nodes[v->count], cl, n);
}

bool bus_view_copy(struct bus_view *to, const struct bus_view *from)
{
    *to = (struct bus_view){0};
    make_room(to, from->count);
    if (to->capacity < from->count)
        return false;
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->nodes, from->nodes, from->count * sizeof *from->nodes);
    return true;
}

void bus_view_free(struct bus_view *v)
{
    free(v->nodes);
    *v = (struct bus_view){0};
}
