#include "publisher-cli/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool credentials_bearer(const char *file, char bearer[TOKEN_MAX + 16], struct failure *failure)
{
    static const char scheme[] = "Bearer ";
    char *token = bearer + sizeof scheme - 1;
    memcpy(bearer, scheme, sizeof scheme);
    FILE *in = fopen(file, "re");
    if (!in)
        return failure_set(failure, "--token-file: cannot read %.200s: %s", file, strerror(errno));
    char *line = fgets(token, TOKEN_MAX + 2, in);
    (void)fclose(in); // it was only read
    size_t len = line ? strcspn(token, "\r\n") : 0;
    token[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (token[i] <= ' ' || token[i] > '~')
            return failure_set(failure, "--token-file: the first line of %.200s is no token", file);
    }
    return (len > 0 && len <= TOKEN_MAX) ||
           failure_set(failure, "--token-file: the first line of %.200s is %s", file,
                       len ? "too long" : "empty");
}
