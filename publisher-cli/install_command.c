#include "publisher-cli/install_command.h"

#include "publisher-cli/discovery.h"
#include "publisher-cli/install.h"
#include "publisher-cli/report.h"
#include "publisher-cli/target.h"

struct installing {
    const struct settings *settings;
    struct redis_url url;
};

static bool install_at(struct connection *connection, void *ctx, struct failure *failure)
{
    const struct installing *installing = ctx;
    long long version;
    enum install_result result = install_library(connection, &version, failure);

    if (result == INSTALL_FAILED)
        return false;
    bool is_cluster = installing->url.kind == REDIS_URL_CLUSTER;
    report_install(installing->settings, is_cluster ? connection_name(connection) : NULL, result, version);
    return true;
}

enum exit_status install_command(const struct settings *settings)
{
    struct installing installing = {.settings = settings};
    struct redis_target target;
    struct failure failure;
    enum exit_status status = EXIT_DONE;
    if (!target_init(settings, &installing.url, &target, &failure))
        status = fail(EXIT_USAGE, failure.text);
    else if (!discovery_each_master(&target, install_at, &installing, &failure))
        status = fail(EXIT_REFUSED, failure.text);
    redis_url_deinit(&installing.url);
    return status;
}
