#include "gateway/process/keys.h"

#include "common/log.h"

void keys_reload(struct authenticator *authenticator)
{
    char error[512];
    struct authenticator_state state;
    if (!authenticator_reload(authenticator, error, sizeof error)) {
        log_error("auth", "SIGHUP: the keys of tokens stay as they were: %s", error);
        return;
    }
    authenticator_look(authenticator, &state);
    log_info("auth", "SIGHUP: the keys of tokens were read again: %zu%s", state.keys,
             state.fetches ? ", and --jwks is fetched again" : "");
}

void keys_reload_tickets(struct ticket_keys *tickets)
{
    char error[512];
    if (ticket_keys_reload(tickets, error, sizeof error))
        log_info("auth", "SIGHUP: the keys of tickets were read again");
    else
        log_error("auth", "SIGHUP: the keys of tickets stay as they were: %s", error);
}
