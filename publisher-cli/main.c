// sse-publish: publishes events to the channels that gateways stream. docs/man/sse-publish.1 is its manual.
#include "publisher-cli/doctor.h"
#include "publisher-cli/exit_status.h"
#include "publisher-cli/gateways_command.h"
#include "publisher-cli/history.h"
#include "publisher-cli/install_command.h"
#include "publisher-cli/position.h"
#include "publisher-cli/publish_command.h"
#include "publisher-cli/revoke.h"
#include "publisher-cli/settings.h"
#include "publisher-cli/subscribe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum exit_status run_publish(const struct settings *settings, int argc, char **argv)
{
    if (settings->install)
        return install_command(settings);
    if (settings->position)
        return position_command(settings, argc, argv);
    if (settings->revoke_subject || settings->revoke_token)
        return revoke_command(settings);
    return publish_command(settings, argc, argv);
}

static enum exit_status run_as(enum use use, const struct settings *settings, int argc, char **argv)
{
    static const struct {
        enum use use;
        enum exit_status (*run)(const struct settings *settings, int argc, char **argv);
    } table[] = {{USE_PUBLISH, run_publish},
                 {USE_GATEWAYS, gateways_command},
                 {USE_HISTORY, history_command},
                 {USE_SUBSCRIBE, subscribe_command},
                 {USE_DOCTOR, doctor_command}};
    struct failure failure;
    size_t i = 0;
    if (!settings_check(settings, use, argc, &failure))
        return fail(EXIT_USAGE, failure.text);
    while (table[i].use != use)
        i++;
    return table[i].run(settings, argc, argv);
}

// Where `operand` stood in `given`, the arguments before getopt_long put options first.
static int position_of(const char *operand, char *const *given, int argc)
{
    int i = 0;
    while (i < argc && given[i] != operand)
        i++;
    return i;
}

// `--` before the first operand says that it is a channel. getopt_long leaves the `--` that ends options in argv, just
// before the operands.
static bool is_behind_dashes(int first, char **argv, char *const *given, int argc)
{
    return strcmp(argv[first - 1], "--") == 0 &&
           position_of(argv[first - 1], given, argc) < position_of(argv[first], given, argc);
}

static enum exit_status run_with(const struct settings *settings, int first, int argc, char **argv,
                                 char *const *given)
{
    bool is_channel = first >= argc || is_behind_dashes(first, argv, given, argc);
    enum use use = settings_use(is_channel ? NULL : argv[first]);
    first += use != USE_PUBLISH;
    return run_as(use, settings, argc - first, argv + first);
}

// A descriptor 0 to 2 that is closed would be given to the connection, and what is printed then sent to
// Redis. /dev/null, opened the wrong way round, occupies the descriptor and fails on use.
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            abort();
    }
}

int main(int argc, char **argv)
{
    struct settings settings;
    char error[512];
    int first;
    enum exit_status status = EXIT_DONE;
    char **given = calloc((size_t)argc + 1, sizeof *given);

    occupy_standard_descriptors();
    // A write to a Redis that has gone must fail with an error, not end the process by a signal.
    (void)signal(SIGPIPE, SIG_IGN);
    if (!given)
        return fail(EXIT_REFUSED, "out of memory");
    memcpy(given, argv, (size_t)argc * sizeof *given);
    if (!options_load(&settings_table, argc, argv, &settings, &first, error, sizeof(error))) {
        free(given);
        return fail(EXIT_USAGE, error);
    }
    if (settings.help)
        options_print_help(&settings_table, stdout);
    else if (settings.version)
        printf("sse-publish %s\n", SSE_GATEWAY_VERSION);
    else
        status = run_with(&settings, first, argc, argv, given);
    free(given);
    options_free(&settings_table, &settings);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = fail(EXIT_REFUSED, "all was done, but the result could not be printed");
    return status;
}
