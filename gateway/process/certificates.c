#include "gateway/process/certificates.h"

#include <inttypes.h>
#include <time.h>

#include "common/log.h"

#define DAY_S 86400
#define WARN_DAYS 14

void certificates_warn(struct tls_server *tls)
{
    struct tls_certificate c;
    int64_t now = time(NULL);
    for (size_t i = 0; tls_server_certificate(tls, i, &c); i++) {
        int64_t left = c.expires_at - now;
        if (left <= 0)
            log_warn("tls", "the certificate %s has expired: clients refuse it; replace it, and send SIGHUP",
                     c.file);
        else if (left < (int64_t)WARN_DAYS * DAY_S)
            log_warn("tls", "the certificate %s expires in %" PRId64 " days: replace it, and send SIGHUP",
                     c.file, left / DAY_S);
    }
}

void certificates_reload(struct tls_server *tls)
{
    char error[600];
    if (tls_server_reload(tls, error, sizeof error)) {
        log_info("tls", "SIGHUP: new connections get the certificates and keys that the files hold now");
        certificates_warn(tls);
    } else {
        log_error("tls", "SIGHUP: certificates and keys stay as they were: %s", error);
    }
}
