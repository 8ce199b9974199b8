// Every metric of /metrics, declared once: what counts it, its name, type, unit, labels and help. The page, the enum of
// counters and docs/metrics.md (tests/docs/metrics_page.c) are made from this list. No label holds a user or a channel.
#pragma once

// GROUP(heading)                              what follows belongs together
// SUM(symbol, name, type, unit, help)         COUNTER_symbol, the sum over all threads (counters.h)
// TIMES(..)                                   HISTOGRAM_symbol, likewise
// VALUE(..)                                   VALUE_symbol, read when the page is asked for (process/metric_values.h);
//                                             where there is none, the metric is left out
// EACH(symbol, name, type, unit, label, help) EACH_symbol: a sample for each `label`: file, thread (process/metrics.c)
// FAMILY(name, type, unit, label, help)       a metric of a SUM for each value of `label`: these follow as
// ROW(symbol, value, help)                    COUNTER_symbol
//
// type: COUNTER, GAUGE, HISTOGRAM, INFO. The name of a counter ends with _total, that of an info with _info.
// unit: "seconds", "bytes" or "". OpenMetrics is told where the name has it in the right place.
// help: the beginning of a sentence, without a period, quotes and backslashes.
#define METRICS(GROUP, FAMILY, ROW, SUM, TIMES, VALUE, EACH)                                                 \
    GROUP("State")                                                                                           \
    VALUE(READY, "sse_gateway_ready", GAUGE, "", "1 while new streams are let in, as `/health/ready` says")  \
    VALUE(DRAINING, "sse_gateway_draining", GAUGE, "", "1 from the first SIGTERM on")                        \
    VALUE(DRAIN_STREAMS, "sse_gateway_drain_streams", GAUGE, "",                                             \
          "Event streams that were open when the drain began; only while it drains, as the next")            \
    VALUE(DRAIN_SECONDS_LEFT, "sse_gateway_drain_seconds_left", GAUGE, "seconds",                            \
          "Seconds until `--drain-timeout`, when the gateway exits whatever is left")                        \
    SUM(STREAMS_DRAINED, "sse_gateway_drained_connections_total", COUNTER, "",                               \
        "Event streams that the drain ended")                                                                \
    VALUE(WORKERS, "sse_gateway_workers", GAUGE, "", "Threads that serve clients")                           \
    VALUE(UPTIME, "sse_gateway_uptime_seconds", GAUGE, "seconds", "Seconds since the start")                 \
    EACH(LOOP_LAG, "sse_gateway_loop_lag_seconds", GAUGE, "seconds", "thread",                               \
         "How much later than due a timer of the thread ran, at worst in the last 15 to 30 s: what each "    \
         "event and client may have waited")                                                                 \
    EACH(BUILD, "sse_gateway_build_info", INFO, "", "version, id",                                           \
         "1, with the version and the id of this gateway")                                                   \
    GROUP("Streams and connections")                                                                         \
    SUM(STREAMS_OPEN, "sse_gateway_connections", GAUGE, "", "Event streams that are open")                   \
    VALUE(CAPACITY, "sse_gateway_capacity", GAUGE, "",                                                       \
          "How many event streams there may be (`--max-connections`)")                                       \
    SUM(STREAMS_OPENED, "sse_gateway_connections_total", COUNTER, "",                                        \
        "Event streams opened since the start")                                                              \
    FAMILY("sse_gateway_admissions_waiting", GAUGE, "", "on",                                                \
           "Requests for streams that have not opened yet")                                                  \
    ROW(ADMISSIONS_DECISION, "decision",                                                                     \
        "It is not decided yet whether the client may have the stream: Redis or a key is asked")             \
    ROW(ADMISSIONS_REDIS, "subscription", "Redis has not confirmed each channel yet")                        \
    FAMILY("sse_gateway_resumes_total", COUNTER, "", "result", "Channels of streams that were opened")       \
    ROW(RESUMES_RESUMED, "resumed", "The stream goes on behind the last event id of its client")             \
    ROW(RESUMES_GAP, "gap", "Events were lost in between, or may have been: `gateway:gap` comes first")      \
    ROW(RESUMES_FRESH, "fresh", "The client had no event id of this channel")                                \
    SUM(SOCKETS_OPEN, "sse_gateway_sockets", GAUGE, "",                                                      \
        "Client connections of any kind that are open, also those of scrapes and health checks")             \
    SUM(SOCKETS_ACCEPTED, "sse_gateway_sockets_accepted_total", COUNTER, "", "Client connections accepted")  \
    SUM(ACCEPT_PAUSES, "sse_gateway_accept_pauses_total", COUNTER, "",                                       \
        "Times accepting paused for want of descriptors (raise the limit) or of epoll watches "              \
        "(`fs.epoll.max_user_watches`)")                                                                     \
    SUM(CONNECTION_BYTES, "sse_gateway_connection_bytes", GAUGE, "bytes",                                    \
        "Memory that client connections and their channels take; divided by `sse_gateway_sockets`: bytes "   \
        "per connection")                                                                                    \
    FAMILY("sse_gateway_refusals_total", COUNTER, "", "reason", "Streams refused for a while")               \
    ROW(REFUSED_NOT_READY, "not_ready", "Not ready, or draining")                                            \
    ROW(REFUSED_FULL, "full", "`--max-connections`")                                                         \
    ROW(REFUSED_USER, "user_cap", "`--max-connections-per-user`")                                            \
    ROW(REFUSED_ADDRESS, "ip_cap", "`--max-connections-per-ip`")                                             \
    ROW(REFUSED_RATE, "connect_rate", "`--connect-rate`; `POST /ticket`, too")                               \
    EACH(CLOSES, "sse_gateway_closes_total", COUNTER, "", "reason", "Client connections ended")              \
    VALUE(USERS_BYTES, "sse_gateway_users_bytes", GAUGE, "bytes",                                            \
          "Memory of the table that finds streams by user, token and address; where a cap or revoking "      \
          "needs it")                                                                                        \
    GROUP("Events")                                                                                          \
    SUM(MESSAGES_RECEIVED, "sse_gateway_messages_received_total", COUNTER, "",                               \
        "Messages that Redis delivered, canaries aside; one may hold several durable events")                \
    SUM(MESSAGE_BYTES, "sse_gateway_message_bytes_total", COUNTER, "bytes",                                  \
        "Bytes of the payloads of these messages")                                                           \
    FAMILY("sse_gateway_messages_dropped_total", COUNTER, "", "reason", "Messages dropped")                  \
    ROW(DROPPED_TOO_LARGE, "too_large", "Larger than `--max-message`")                                       \
    ROW(DROPPED_NOT_TEXT, "not_text", "With NUL or invalid UTF-8: a publisher sends binary data")            \
    ROW(DROPPED_ENVELOPE, "bad_envelope",                                                                    \
        "An envelope breaks a rule; or an entry of a history that `sse_publish` did not write, each time "   \
        "that it is read")                                                                                   \
    ROW(DROPPED_PLAIN, "not_envelope", "Plain, where `--payload envelope` holds")                            \
    ROW(DROPPED_BACKLOG, "backlog",                                                                          \
        "A worker is too far behind: too few cores, or a burst beyond `--backlog-limit`")                    \
    ROW(DROPPED_MEMORY, "out_of_memory", "No memory")                                                        \
    ROW(DROPPED_UNWANTED, "no_subscriber", "The channel has no stream any more; harmless")                   \
    FAMILY("sse_gateway_traces_dropped_total", COUNTER, "", "reason",                                        \
           "Deliveries of traced events that were neither logged nor reported")                              \
    ROW(TRACES_INVALID, "invalid",                                                                           \
        "`traceparent` or `trace-to` is not what it must be; the event is "                                  \
        "delivered")                                                                                         \
    ROW(TRACES_MANY, "limit", "More than are logged or reported in a second")                                \
    SUM(IDS_DROPPED, "sse_gateway_ids_dropped_total", COUNTER, "",                                           \
        "Events delivered without the id of the publisher, which could not come back as `Last-Event-ID`")    \
    SUM(DELIVERIES, "sse_gateway_deliveries_total", COUNTER, "",                                             \
        "Events handed to streams: one message to a thousand streams is a thousand, and one that holds "     \
        "16 events sixteen thousand")                                                                        \
    TIMES(DELIVERY, "sse_gateway_delivery_latency_seconds", HISTOGRAM, "seconds",                            \
          "From the read of a message from Redis to its last write to the streams of a worker; one for "     \
          "each message and worker. What a slow socket does not take at once is not waited for")             \
    TIMES(FAN_OUT, "sse_gateway_fanout_duration_seconds", HISTOGRAM, "seconds",                              \
          "How long a worker took to write an event to all its streams; events that came together are "      \
          "written together, and count once")                                                                \
    SUM(WRITES, "sse_gateway_writes_total", COUNTER, "", "System calls that wrote to clients")               \
    SUM(BYTES_SENT, "sse_gateway_sent_bytes_total", COUNTER, "bytes", "Bytes written to clients")            \
    SUM(WRITES_BLOCKED, "sse_gateway_writes_blocked_total", COUNTER, "",                                     \
        "Times the socket of a client took less than all")                                                   \
    SUM(QUEUED_BYTES, "sse_gateway_queued_bytes", GAUGE, "bytes", "Bytes that wait for slow clients")        \
    FAMILY("sse_gateway_events_dropped_total", COUNTER, "", "reason", "Events dropped for one client")       \
    ROW(SLOW_DROPPED, "slow_client", "It was over `--queue-limit`")                                          \
    SUM(HEARTBEATS, "sse_gateway_heartbeats_total", COUNTER, "", "Heartbeats sent")                          \
    GROUP("Durable events")                                                                                  \
    SUM(GAPS, "sse_gateway_gaps_total", COUNTER, "",                                                         \
        "`gateway:gap` events made; one may go to many streams")                                             \
    SUM(HISTORY_READS, "sse_gateway_history_reads_total", COUNTER, "",                                       \
        "Pages of history that workers asked for, for streams that catch up")                                \
    SUM(FOREIGN_ENTRIES, "sse_gateway_history_foreign_entries_total", COUNTER, "",                           \
        "Entries read from `sse:{channel}` that `sse_publish` did not write; each is a `gateway:gap`")       \
    SUM(REPLAY_BYTES, "sse_gateway_replay_bytes", GAUGE, "bytes",                                            \
        "Memory of history that streams share while they catch up (`--replay-limit`)")                       \
    GROUP("Redis")                                                                                           \
    SUM(REDIS_CONNECTED, "sse_gateway_redis_connected", GAUGE, "",                                           \
        "Subscriber connections that are up: 1, or one for each owner of slots in a cluster; "               \
        "`sse_gateway_ready` says more")                                                                     \
    SUM(REDIS_CONNECTS, "sse_gateway_redis_connects_total", COUNTER, "",                                     \
        "Subscriber connections made: 1 is the start, each more was a hole")                                 \
    SUM(REDIS_ERRORS, "sse_gateway_redis_errors_total", COUNTER, "",                                         \
        "Error replies from Redis to SUBSCRIBE, to canaries and to reads of histories; the log has their "   \
        "words")                                                                                             \
    SUM(SUBSCRIPTIONS, "sse_gateway_subscriptions", GAUGE, "",                                               \
        "Channels subscribed to in Redis; they stay for 5 s after the last stream")                          \
    SUM(CANARIES_SENT, "sse_gateway_canaries_sent_total", COUNTER, "", "Canaries published, one every 2 s")  \
    SUM(CANARIES_BACK, "sse_gateway_canaries_received_total", COUNTER, "", "Canaries that came back")        \
    VALUE(CANARY_AGE, "sse_gateway_canary_age_seconds", GAUGE, "seconds",                                    \
          "Seconds since the newest canary came back, at the node where that is longest ago; up to 4 is "    \
          "well. Not there before the first")                                                                \
    SUM(REVOCATIONS_KNOWN, "sse_gateway_revocations_known", GAUGE, "",                                       \
        "1 while new streams with tokens need no question to Redis about revocations; 0 for long: the log "  \
        "says why")                                                                                          \
    GROUP("The tier")                                                                                        \
    SUM(ANNOUNCED, "sse_gateway_announcements_sent_total", COUNTER, "",                                      \
        "Announcements of this gateway that were published: one a second, fewer in tiers of more than 100 "  \
        "gateways")                                                                                          \
    SUM(ANNOUNCEMENTS, "sse_gateway_announcements_received_total", COUNTER, "",                              \
        "Announcements that came, of all gateways, this one included")                                       \
    SUM(ANNOUNCEMENTS_DROPPED, "sse_gateway_announcements_dropped_total", COUNTER, "",                       \
        "Messages at `sse:gateways` that were no announcements, or of more than 2,048 gateways; look at "    \
        "who publishes there")                                                                               \
    VALUE(TIER_GATEWAYS, "sse_gateway_tier_gateways", GAUGE, "",                                             \
          "Gateways that were heard lately, this one included; 0: `&sse:gateways` is not allowed, or Redis " \
          "is away")                                                                                         \
    VALUE(TIER_CONNECTIONS, "sse_gateway_tier_connections", GAUGE, "",                                       \
          "Event streams of all gateways that take part: that are not draining, and ready or full")          \
    VALUE(REBALANCE_TARGET, "sse_gateway_rebalance_target", GAUGE, "",                                       \
          "Event streams that are the share of this gateway of these, by its capacity")                      \
    VALUE(REBALANCE_SURPLUS, "sse_gateway_rebalance_surplus", GAUGE, "",                                     \
          "Event streams above that; above the tolerance for minutes with `on`: the log says why")           \
    VALUE(REBALANCE_RUNNING, "sse_gateway_rebalance_running", GAUGE, "",                                     \
          "1 while streams are ended for other gateways to get them")                                        \
    EACH(REBALANCE_MODE, "sse_gateway_rebalance_mode", GAUGE, "", "mode",                                    \
         "1 for the mode that `--rebalance` sets")                                                           \
    GROUP("TLS")                                                                                             \
    FAMILY("sse_gateway_tls_handshakes_total", COUNTER, "", "kind", "TLS handshakes that were completed")    \
    ROW(TLS_FULL, "full", "From the beginning")                                                              \
    ROW(TLS_RESUMED, "resumed", "With a session ticket")                                                     \
    FAMILY("sse_gateway_tls_handshake_failures_total", COUNTER, "", "reason", "TLS handshakes that failed")  \
    ROW(TLS_FAILED_PROTOCOL, "protocol", "No TLS 1.2 or 1.3, or no TLS at all")                              \
    ROW(TLS_FAILED_CIPHER, "no_common_cipher", "No cipher or curve in common")                               \
    ROW(TLS_FAILED_ALPN, "no_common_application_protocol", "A client of HTTP/2 alone")                       \
    ROW(TLS_FAILED_CLIENT_CERTIFICATE, "client_certificate", "None, or none of `--tls-client-ca`")           \
    ROW(TLS_FAILED_ALERT, "refused_by_client",                                                               \
        "The client sent an alert: it does not trust the certificate, for example")                          \
    ROW(TLS_FAILED_PLAIN_HTTP, "plain_http", "http:// in the place of https://")                             \
    ROW(TLS_FAILED_RATE, "connect_rate",                                                                     \
        "Its address begins more than four times as many as `--connect-rate` lets it open streams")          \
    ROW(TLS_FAILED_CROWDED, "crowded",                                                                       \
        "Made way for others: it did not go on for 2 s, or was not begun for 5 s")                           \
    ROW(TLS_FAILED_TIMEOUT, "timeout", "Not over after 10 s")                                                \
    ROW(TLS_FAILED_GONE, "client_gone", "The client closed in the middle of it")                             \
    ROW(TLS_FAILED_OTHER, "other", "Anything else; `--log-level debug` says what")                           \
    SUM(TLS_POSTPONED, "sse_gateway_tls_handshakes_postponed_total", COUNTER, "",                            \
        "Turns of a loop that left handshakes to the next turn: grows in a storm of new clients")            \
    EACH(CERTIFICATES, "sse_gateway_tls_certificate_expiry_timestamp_seconds", GAUGE, "seconds", "file",     \
         "When a certificate expires, in seconds since 1970")                                                \
    GROUP("Tokens and tickets")                                                                              \
    SUM(TOKENS_ACCEPTED, "sse_gateway_tokens_accepted_total", COUNTER, "", "Tokens that were good")          \
    FAMILY("sse_gateway_tokens_refused_total", COUNTER, "", "reason", "Tokens refused")                      \
    ROW(TOKENS_MALFORMED, "malformed", "They are no tokens, or have what is never allowed")                  \
    ROW(TOKENS_ALGORITHM, "algorithm", "They have an algorithm that no key here is for")                     \
    ROW(TOKENS_UNKNOWN_KEY, "unknown_key", "They name a key that is not known")                              \
    ROW(TOKENS_KEY_AWAITED, "key_awaited", "They name a key that is being fetched: the client comes back")   \
    ROW(TOKENS_SIGNATURE, "signature", "They are signed by another key")                                     \
    ROW(TOKENS_EXPIRED, "expired", "They are too old")                                                       \
    ROW(TOKENS_NOT_YET, "not_yet", "They are too new: look at the clocks")                                   \
    ROW(TOKENS_ISSUER, "issuer", "They are not of `--jwt-issuer`")                                           \
    ROW(TOKENS_AUDIENCE, "audience", "They are for none of `--jwt-audience`")                                \
    ROW(TOKENS_CLAIMS, "claims", "They lack `exp`, or have a claim of the wrong type")                       \
    ROW(TOKENS_NO_MEMORY, "no_memory", "There was no memory to look at them")                                \
    FAMILY("sse_gateway_denials_total", COUNTER, "", "reason",                                               \
           "Requests that were answered 401 or 403 though no token of theirs was refused")                   \
    ROW(DENIED_NO_TOKEN, "no_token", "They have no token, and want one for a channel or for a ticket")       \
    ROW(DENIED_CHANNEL, "channel", "A channel is not open to them")                                          \
    ROW(DENIED_TICKET, "ticket", "Their ticket is malformed, or signed by another key")                      \
    ROW(DENIED_TICKET_EXPIRED, "ticket_expired", "Their ticket has expired")                                 \
    ROW(DENIED_TICKET_SPENT, "ticket_spent", "Their ticket was used already")                                \
    ROW(DENIED_REVOKED, "revoked", "Their token or its subject was revoked")                                 \
    ROW(DENIED_VOUCHED, "vouched", "What the trusted proxy says of them cannot be used")                     \
    ROW(DENIED_ORIGIN, "origin", "They are of pages of another origin")                                      \
    SUM(TICKETS_FAILED, "sse_gateway_tickets_failed_total", COUNTER, "",                                     \
        "Tickets that could not be signed: the log says why; their clients were told to try again")          \
    VALUE(KEYS, "sse_gateway_keys", GAUGE, "", "Keys of tokens in use; with tokens only, as the four below") \
    VALUE(KEYS_SKIPPED, "sse_gateway_keys_skipped", GAUGE, "",                                               \
          "Keys of key sets that cannot be used: for other purposes, too weak, of another kind")             \
    VALUE(                                                                                                   \
        JWKS_AGE, "sse_gateway_jwks_age_seconds", GAUGE, "seconds",                                          \
        "Seconds since the keys of `--jwks https://..` were last fetched; not there before the first time")  \
    VALUE(JWKS_FETCHES, "sse_gateway_jwks_fetches_total", COUNTER, "",                                       \
          "Fetches of these keys that succeeded")                                                            \
    VALUE(JWKS_FAILURES, "sse_gateway_jwks_fetch_failures_total", COUNTER, "",                               \
          "Fetches of these keys that failed")                                                               \
    GROUP("The process")                                                                                     \
    VALUE(LOG_LINES_DROPPED, "sse_gateway_log_lines_dropped_total", COUNTER, "",                             \
          "Log lines dropped because nobody read standard error in time: look at what ships the logs, or "   \
          "raise `--log-buffer`")                                                                            \
    VALUE(RESIDENT, "sse_gateway_resident_memory_bytes", GAUGE, "bytes",                                     \
          "Memory of the process, as `process_resident_memory_bytes`")                                       \
    VALUE(CPU, "process_cpu_seconds_total", COUNTER, "seconds",                                              \
          "Time that all threads together ran on a processor")                                               \
    VALUE(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "bytes",                                 \
          "Memory of the process that is in RAM")                                                            \
    VALUE(PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, "bytes", "Address space of the process")   \
    VALUE(OPEN_FDS, "process_open_fds", GAUGE, "", "Descriptors that are open")                              \
    VALUE(MAX_FDS, "process_max_fds", GAUGE, "", "How many may be open (`LimitNOFILE`)")                     \
    VALUE(START_TIME, "process_start_time_seconds", GAUGE, "seconds",                                        \
          "When the process started, in seconds since 1970")
