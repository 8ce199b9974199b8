// The certificates of the listeners with TLS, as the process sees them: the log says which expire, SIGHUP reads
// them again. Main thread.
#pragma once

#include "common/tls_server.h"

// Warns of certificates that have expired, or will within two weeks.
void certificates_warn(struct tls_server *tls);
// Reads all files of TLS again, and says how that went: where it fails, everything stays as it is.
void certificates_reload(struct tls_server *tls);
