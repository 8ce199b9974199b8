"""The application of answer.html: REDIS_URL=redis://127.0.0.1:6379 python3 app.py PORT

POST /answers            the question as text: {"channel": "answer:.."}; a worker answers it there
POST /answers/ID/stop    ends the answer. A tab that is closed or a laptop that sleeps stops nothing.

Yours asks who it is, first: the channel as "answer:USER:.." and --grant 'answer:{sub}:*' keep answers apart.
"""
import http.server
import json
import os
import re
import secrets
import sys

import redis

KEPT = 3600
client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def ask(question):
    channel = f"answer:{secrets.token_hex(8)}"
    # The channel's first event, so that there is a channel to stop or to join before a worker has begun.
    client.fcall("sse_publish", 1, f"sse:{{{channel}}}", question, "question", "", "maxage", KEPT)
    client.xadd("answers", {"channel": channel, "question": question}, maxlen=100000)
    return {"channel": channel}


def stop(channel):
    key = f"sse:{{{channel}}}"
    while newest := client.xrevrange(key, count=1):
        [(event_id, entry)] = newest
        if "end" in entry:
            break
        try:  # from here on the worker's `after` is refused, so that it stops
            client.fcall("sse_publish", 1, key, "", "stopped", "", "after", event_id.split("-")[1], "end", KEPT)
        except redis.ResponseError as error:
            if not str(error).startswith("FENCED"):  # the worker was faster
                raise
    return {}


class Application(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 4096)).decode("utf-8", "replace")
        found = re.fullmatch(r"/answers/([0-9a-f]{16})/stop", self.path)
        answer = stop(f"answer:{found[1]}") if found else ask(body) if self.path == "/answers" else None
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Application).serve_forever()
