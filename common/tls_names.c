#include "common/tls_names.h"

#include <stdlib.h>
#include <string.h>

// Copies `host` in lower case, without the dot that may end it. False where it is no host name.
static bool normalise(const char *host, size_t len, char out[TLS_HOST_MAX + 1])
{
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > TLS_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (host[i] <= ' ' || host[i] > '~')
            return false;
        out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] | 0x20) : host[i];
    }
    out[len] = '\0';
    return true;
}

bool tls_names_add(struct tls_names *names, const char *host, size_t len, size_t certificate)
{
    char normal[TLS_HOST_MAX + 1];
    if (!normalise(host, len, normal))
        return true;
    struct tls_name *items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (!items)
        return false;
    names->items = items;
    items[names->count] = (struct tls_name){.host = strdup(normal), .certificate = certificate};
    return items[names->count].host && ++names->count;
}

static int compare(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    int order = strcmp(x->host, y->host);
    return order ? order : x->certificate < y->certificate ? -1 : x->certificate > y->certificate;
}

void tls_names_sort(struct tls_names *names)
{
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, compare);
}

// The first of equal names, which belongs to the lowest certificate; -1 for none.
static long find(const struct tls_names *names, const char *host)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle].host, host) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < names->count && strcmp(names->items[low].host, host) == 0
               ? (long)names->items[low].certificate
               : -1;
}

long tls_names_find(const struct tls_names *names, const char *host)
{
    char normal[TLS_HOST_MAX + 1];
    if (!normalise(host, strlen(host), normal) || normal[0] == '*')
        return -1;
    long exact = find(names, normal);
    char *dot = strchr(normal, '.');
    if (exact >= 0 || !dot || dot == normal)
        return exact;
    *--dot = '*'; // over the last byte of the first label
    return find(names, dot);
}

void tls_names_deinit(struct tls_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].host);
    free(names->items);
    *names = (struct tls_names){0};
}
