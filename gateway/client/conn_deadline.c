#include "gateway/client/conn_deadline.h"

#include "gateway/client/admission.h"
#include "gateway/client/conn_proxy.h"
#include "gateway/client/conn_read.h"
#include "gateway/client/conn_tls.h"
#include "gateway/client/request.h"
#include "gateway/client/slow_client.h"
#include "gateway/client/stream.h"

#define LATE_GRACE_MS 1000u

bool conn_deadline_excuse(struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
    case CONN_HEAD:
    case CONN_LINGER:
        conn_read(c);
        break;
    case CONN_HANDSHAKE: // what has arrived is read in its turn
    case CONN_ADMITTING:
    case CONN_WAITING:
    case CONN_FEED:
        conn_set_deadline(c, LATE_GRACE_MS);
        break;
    case CONN_STREAM:
        slow_client_excuse(c);
        break;
    case CONN_FINISHING:
        conn_flush(c);
        break;
    case CONN_CLOSED:
        break;
    }
    return c->state == CONN_CLOSED || wheel_is_set(&c->deadline);
}

void conn_deadline_over(struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
        conn_proxy_timeout(c);
        break;
    case CONN_HANDSHAKE:
        conn_tls_count_timeout(c);
        conn_close(c, CLOSE_HEAD_TIMEOUT);
        break;
    case CONN_HEAD:
        request_timeout(c);
        break;
    case CONN_ADMITTING:
        admission_refuse(c, "It was not decided in time whether you may have this stream; try again.");
        break;
    case CONN_WAITING:
        stream_refuse(c, "Redis did not confirm the subscription in time.");
        break;
    case CONN_STREAM:
        stream_heartbeat(c);
        break;
    case CONN_FEED:
        conn_close(c, CLOSE_SLOW);
        break;
    case CONN_FINISHING:
    case CONN_LINGER:
        conn_close(c, CLOSE_CLIENT_GONE);
        break;
    case CONN_CLOSED:
        break;
    }
}
