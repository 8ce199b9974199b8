// A configuration file of any bytes is refused with one line, or read into values that print as a file which
// reads back the same.
#include "common/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static const char *const colors[] = {"red", "green", NULL};

struct settings {
    char *config, *name;
    struct option_list list;
    uint64_t count, size, time;
    double part;
    int color;
    bool flag;
};

#define AT(member) .offset = offsetof(struct settings, member)
static const struct option_spec specs[] = {
    {.name = "config", .argument = "FILE", .type = OPTION_STRING, AT(config), .help = "C."},
    {.name = "name", .argument = "N", .group = "Group", .type = OPTION_STRING, AT(name), .help = "N."},
    {.name = "list", .argument = "L", .type = OPTION_LIST, AT(list), .default_text = "a, b", .help = "L."},
    {.name = "count", .argument = "C", .type = OPTION_UINT, AT(count), .default_text = "1", .help = "C."},
    {.name = "size", .argument = "S", .type = OPTION_SIZE, AT(size), .default_text = "1KiB", .help = "S."},
    {.name = "time", .argument = "T", .type = OPTION_DURATION, AT(time), .help = "T."},
    {.name = "part", .argument = "P", .type = OPTION_FLOAT, AT(part), .default_text = "0.5", .help = "P."},
    {.name = "color", .argument = "C", .type = OPTION_ENUM, AT(color), .names = colors, .help = "C."},
    {.name = "flag", .type = OPTION_FLAG, AT(flag), .help = "F."},
};
static const struct option_table table = {.program = "fuzz",
                                          .synopsis = "",
                                          .purpose = "Fuzzes.",
                                          .config_option = "config",
                                          .specs = specs,
                                          .count = 9};

// A descriptor whose path reads as a file.
static int make_file(const void *bytes, size_t size)
{
    int fd = memfd_create("options", MFD_CLOEXEC);

    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    return fd;
}

static bool load(int fd, struct settings *settings, char error[512])
{
    char option[64], *argv[] = {"fuzz", option, NULL};
    int first;

    snprintf(option, sizeof(option), "--config=/proc/self/fd/%d", fd);
    return options_load(&table, 2, argv, settings, &first, error, 512);
}

static char *print(const struct settings *settings, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    CHECK(out != NULL);
    options_print_config(&table, settings, out);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings before, after;
    char error[512] = "", *printed, *again;
    size_t printed_len, again_len;
    int fd = make_file(data, size);

    if (!load(fd, &before, error)) {
        CHECK(*error && !strchr(error, '\n'));
        close(fd);
        return 0;
    }
    close(fd);
    printed = print(&before, &printed_len);
    fd = make_file(printed, printed_len);
    CHECK(load(fd, &after, error));
    close(fd);
    again = print(&after, &again_len);
    CHECK(strcmp(printed, again) == 0);
    free(printed);
    free(again);
    options_free(&table, &before);
    options_free(&table, &after);
    return 0;
}
