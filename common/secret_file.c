#include "common/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool secret_file_read(const char *option, const char *file, char **secret, char *error, size_t error_size)
{
    char text[SECRET_MAX + 2];
    FILE *f = fopen(file, "re");
    if (!f) {
        snprintf(error, error_size, "--%s: cannot read %s: %s", option, file, strerror(errno));
        return false;
    }
    size_t len = fread(text, 1, sizeof text - 1, f);
    bool failed = ferror(f) != 0;
    (void)fclose(f); // only read: nothing can be lost
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (failed || text[0] == '\0' || strlen(text) > SECRET_MAX) {
        explicit_bzero(text, sizeof text);
        snprintf(error, error_size, "--%s: %s must hold one line of 1 to %d bytes", option, file, SECRET_MAX);
        return false;
    }
    char *copy = strdup(text);
    explicit_bzero(text, sizeof text);
    if (copy == NULL) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    free(*secret);
    *secret = copy;
    return true;
}
