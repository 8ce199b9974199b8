#include "publisher-cli/gateways_command.h"

#include "publisher-cli/gateways.h"
#include "publisher-cli/report.h"
#include "publisher-cli/target.h"

enum exit_status gateways_command(const struct settings *settings, int argc, char **argv)
{
    (void)argc, (void)argv; // it takes none
    struct redis_url url = {0};
    struct redis_target target;
    struct failure failure;
    struct gateways gateways = {0};
    enum exit_status status = EXIT_DONE;
    if (!target_init(settings, &url, &target, &failure)) {
        status = fail(EXIT_USAGE, failure.text);
    } else if (!gateways_listen(&target, &gateways, &failure)) {
        status = fail(EXIT_REFUSED, failure.text);
    } else if (gateways.count == 0) {
        status = fail(EXIT_REFUSED,
                      "no gateway was heard: none runs, or they use another Redis, another --pubsub, or "
                      "have no right to publish at " ANNOUNCEMENT_CHANNEL);
    }
    if (gateways.count > 0 || (settings->json && gateways.items))
        report_gateways(settings, &gateways);
    gateways_free(&gateways);
    redis_url_deinit(&url);
    return status;
}
