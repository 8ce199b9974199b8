#include "gateway/redis/reply_limit.h"

#include "gateway/redis/redis_reader.h"

#define ELEMENTS_MIN 2

// The element of the outermost array that a string belongs to.
static int element_of(const redisReadTask *task)
{
    while (task->parent && task->parent->parent)
        task = task->parent;
    return task->parent ? (int)task->idx : 0;
}

static void enter_element(struct reply_limit *l, int element)
{
    if (element == l->element)
        return;
    l->element = element;
    l->element_kept = 0;
    l->cut = element >= ELEMENTS_MIN && l->kept >= l->max;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    struct reply_limit *l = redis_reader_context(task);
    l->bytes += len;
    enter_element(l, element_of(task));
    if (task->type != REDIS_REPLY_STRING || (!l->cut && l->element_kept < l->element_max)) {
        l->kept += len;
        l->element_kept += len;
        return l->standard.createString(task, text, len);
    }
    redisReadTask status = *task;
    status.type = REDIS_REPLY_STATUS;
    return l->standard.createString(&status, text, 0);
}

bool reply_limit_init(struct reply_limit *l, size_t max, size_t element_max)
{
    redisReader *reader = redisReaderCreate(); // only a reader shows hiredis' own reply functions
    if (!reader)
        return false;
    *l = (struct reply_limit){
        .functions = *reader->fn, .standard = *reader->fn, .max = max, .element_max = element_max};
    l->functions.createString = create_string;
    redisReaderFree(reader);
    reply_limit_reset(l);
    return true;
}

void reply_limit_skipped(struct reply_limit *l, size_t len)
{
    l->bytes += len;
}

void reply_limit_reset(struct reply_limit *l)
{
    l->bytes = l->kept = l->element_kept = 0;
    l->element = -1;
    l->cut = false;
}
