#include "gateway/fanout/question.h"

#include <stdlib.h>
#include <string.h>

struct question *question_create(const struct question *from)
{
    size_t size = 0;
    for (size_t i = 0; i < QUESTION_TEXTS; i++)
        size += from->texts[i] ? strlen(from->texts[i]) + 1 : 0;
    struct question *q = malloc(sizeof *q + size);
    if (!q)
        return NULL;
    *q = *from;
    char *room = q->room;
    for (size_t i = 0; i < QUESTION_TEXTS; i++) {
        if (!from->texts[i])
            continue;
        q->texts[i] = room;
        room = stpcpy(room, from->texts[i]) + 1;
    }
    return q;
}
