// Names in Redis at which whoever revokes and gateways meet (docs/protocol.md, "Revoking").
#pragma once

// A message there says what is revoked: one of the two kinds, a time, and the name of the user or token.
#define REVOCATION_CHANNEL "__sse:revoke"
// A key for each name that is revoked: REVOKED_KEYS, one of the two kinds, ":", and the name.
#define REVOKED_KEYS "sse:revoked:"
#define REVOKED_SUBJECT "sub"
#define REVOKED_TOKEN "jti"
