#include "gateway/client/conn_head.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"

static size_t size_of(const struct conn_head *head)
{
    return memory_block(sizeof *head) + memory_block(head->bytes.capacity);
}

bool conn_head_append(struct client_context *cx, struct conn_head **head, const char *bytes, size_t len)
{
    struct conn_head *to = *head ? *head : calloc(1, sizeof *to);
    size_t before = *head ? size_of(*head) : 0;
    if (!to || !buf_append(&to->bytes, bytes, len)) {
        if (to != *head)
            free(to);
        return false;
    }
    cx->head_bytes += size_of(to) - before;
    *head = to;
    return true;
}

void conn_head_free(struct client_context *cx, struct conn_head *head)
{
    if (!head)
        return;
    assert(cx->head_bytes >= size_of(head));
    cx->head_bytes -= size_of(head);
    buf_free(&head->bytes);
    free(head);
}
