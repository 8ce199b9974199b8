#include "publisher-cli/doctor_report.h"

const char *const doctor_front_names[FRONT_COUNT] = {"NGINX", "HAProxy", "Caddy", "ALB", "Cloudflare"};

// deploy/ has whole configurations, and docs/balancing.md the reasons.
// NOLINTBEGIN(bugprone-suspicious-missing-comma): a text of several lines is meant to be one
const struct doctor_advice doctor_advice[CHECK_COUNT] = {
    [CHECK_REACHABLE] = {"reachable",
                         "without an answer there is no stream.",
                         {"does it run, and does it `listen` at this address?",
                          "does it run, and `bind` this address?", "does it run, and is this its site?",
                          "a listener at this port; security groups that let clients in",
                          "a proxied DNS record of this name, and an origin that it can reach"}},
    [CHECK_GATEWAY] =
        {"gateway",
         "each answer of a gateway has the field X-SSE-Gateway; this one does not come from a gateway, or "
         "the field was "
         "removed.",
         {"`location ~ ^/stream/?$ { proxy_pass http://sse_gateways; }`; no `proxy_hide_header "
          "X-SSE-Gateway`",
          "`use_backend sse if { path /stream /stream/ }`; no `http-response del-header X-SSE-Gateway`",
          "`handle /stream { reverse_proxy GATEWAYS }`; no `header -X-SSE-Gateway`",
          "a listener rule for /stream, to the target group of the gateways, with the health check "
          "/health/ready",
          "no Worker and no rule that answers /stream in place of the origin"}},
    [CHECK_ERRORS] = {"errors",
                      "an EventSource gives up for good on any answer but 200 with text/event-stream: each "
                      "tab that got this one is "
                      "deaf until it is reloaded.",
                      {"`proxy_next_upstream error timeout http_503;` `proxy_intercept_errors on;` "
                       "`error_page 429 500 502 503 504 =200 "
                       "@sse_retry;`, there `default_type text/event-stream; return 200 \"retry: "
                       "3000\\n\\n\";`; `max_fails=0` for the "
                       "servers",
                       "`http-response return status 200 content-type text/event-stream string \"retry: "
                       "3000\\n\\n\" if { status 429 500 "
                       "502 503 504 }`, and for its own answers `http-error status 503 ..` (502, 504) with "
                       "`http-after-response "
                       "set-status 200`, as in deploy/haproxy/haproxy.cfg",
                       "`lb_try_duration 2s`; `handle_response` for 429 and 5xx, and `handle_errors`, that "
                       "answer 200 text/event-stream "
                       "with `retry: 3000`, as in deploy/caddy/Caddyfile",
                       "it cannot answer 200 in place of an error: gateways with `--refusal retry`, and "
                       "never a target group without a "
                       "healthy gateway",
                       "a Worker for /stream that answers 200 text/event-stream with `retry: 3000` where the "
                       "origin answers 5xx; "
                       "gateways with `--refusal retry`"}},
    [CHECK_REDIRECT] = {"redirect",
                        "to a page that was loaded over HTTP the redirected stream is another origin, and "
                        "without --cors-origin its "
                        "EventSource is gone for good.",
                        {"redirect the pages, too, and give pages the https:// URL",
                         "redirect the pages, too, and give pages the https:// URL",
                         "redirect the pages, too, and give pages the https:// URL",
                         "redirect the pages, too, and give pages the https:// URL",
                         "`Always Use HTTPS` for the whole zone, and the https:// URL in pages"}},
    [CHECK_CONTENT_TYPE] =
        {"content-type",
         "an EventSource takes text/event-stream alone, and gives up for good on anything else.",
         {"no `default_type`, `add_header` or `proxy_hide_header` of Content-Type for the streams",
          "no `http-response set-header Content-Type`", "no `header Content-Type` around `reverse_proxy`",
          "it leaves the type alone: look behind it",
          "no Transform Rule and no Worker that sets Content-Type"}},
    [CHECK_COMPRESSION] =
        {"compression",
         "a compressor holds events back until it has enough to compress, and costs memory for each stream.",
         {"`gzip off;` (and `brotli off;`) in the location of the streams, or text/event-stream out of "
          "`gzip_types`",
          "text/event-stream out of `compression type`; and do not replace the field Cache-Control: "
          "no-transform keeps "
          "HAProxy from it",
          "`@pages not path /stream /stream/` and `encode @pages gzip`",
          "it does not compress: look behind it, and at CloudFront before it",
          "a Compression Rule without compression for /stream; and keep Cache-Control: no-transform"}},
    [CHECK_CACHING] =
        {"caching",
         "a cache that keeps a stream hands old events to others, or waits for an end that never comes.",
         {"`proxy_cache off;`; no `expires`, `add_header` or `proxy_hide_header` of Cache-Control",
          "no `http-request cache-use` and no `http-response set-header Cache-Control` for the streams",
          "no `header Cache-Control` around `reverse_proxy`; no cache module for /stream",
          "it does not cache: look at CloudFront before it (policy CachingDisabled)",
          "a Cache Rule `Bypass cache` for /stream; no `Browser Cache TTL` that replaces Cache-Control"}},
    [CHECK_BUFFERING] =
        {"buffering",
         "what is held back until a buffer is full comes late, or never; and the last event is lost when a "
         "gateway dies.",
         {"`proxy_buffering off;` in the location of the streams, no `proxy_ignore_headers "
          "X-Accel-Buffering`, no module that "
          "rewrites bodies (`sub_filter`)",
          "`option http-no-delay`; no `http-response wait-for-body` and no filter for the streams",
          "no `encode`, no `response_buffers` (`buffer_responses`) for /stream",
          "it does not buffer; a Lambda target does",
          "no `Response Buffering`, and no Worker that awaits the whole body"}},
    [CHECK_IDLE] =
        {"idle",
         "a timeout below the heartbeat (--heartbeat, 15 s) cuts each quiet stream, and clients come back "
         "again and again.",
         {"`proxy_read_timeout 60s;` and `send_timeout 60s;`: more than a few heartbeats",
          "`timeout server 60s` and `timeout client 60s`: more than a few heartbeats",
          "no `read_timeout` in `transport http`, no `timeouts` of the server below a few heartbeats",
          "`idle_timeout.timeout_seconds` of 60 or more",
          "it waits 100 s; look at the origin, and keep --heartbeat below"}},
    [CHECK_LAST_EVENT_ID] =
        {"last-event-id",
         "a browser that comes back says with Last-Event-ID where it was; without it, it begins anew and "
         "misses events.",
         {"no `proxy_set_header Last-Event-ID \"\";`, no `proxy_pass_request_headers off;`",
          "no `http-request del-header Last-Event-ID`",
          "no `header_up -Last-Event-ID`, no `request_header -Last-Event-ID`",
          "it passes the field on: look at CloudFront before it (origin request policy AllViewer)",
          "no Transform Rule and no Worker that drops the field"}},
    [CHECK_CORS] =
        {"cors",
         "a browser hides a stream of another origin from its page unless exactly one "
         "Access-Control-Allow-Origin allows "
         "it.",
         {"gateways with `--cors-origin ORIGIN`; no `add_header Access-Control-Allow-Origin` beside theirs; "
          "pass OPTIONS on",
          "gateways with `--cors-origin ORIGIN`; no `http-response add-header` of these fields beside theirs",
          "gateways with `--cors-origin ORIGIN`; no `header Access-Control-Allow-Origin` beside theirs",
          "gateways with `--cors-origin ORIGIN`; OPTIONS must reach them, without authentication by the "
          "listener",
          "gateways with `--cors-origin ORIGIN`; no rule that sets these fields, no Access policy on "
          "OPTIONS"}},
    [CHECK_METHODS] =
        {"methods",
         "monitoring asks with HEAD, and browsers ask with OPTIONS before a fetch of another origin.",
         {"no `limit_except GET` and no `if ($request_method ..)` for the streams",
          "no `http-request deny` of HEAD and OPTIONS", "no `method GET` in the matcher of the streams",
          "no listener rule by method for /stream", "no WAF rule against HEAD or OPTIONS for /stream"}},
    [CHECK_HTTP_VERSION] = {"http-version", "", {"", "", "", "", ""}}, // never a finding
    [CHECK_CERTIFICATE] = {"certificate",
                           "with a certificate that has expired or is not trusted no browser connects.",
                           {"renew it, with the whole chain in `ssl_certificate`, then `nginx -s reload`",
                            "renew it, with the whole chain in the file of `bind .. ssl crt`, then reload",
                            "it renews by itself: is port 80 or 443 reachable for ACME?",
                            "ACM renews it while its DNS record is there",
                            "Universal SSL must be active for the name"}},
};
// NOLINTEND(bugprone-suspicious-missing-comma)
