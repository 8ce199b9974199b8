#!/usr/bin/env python3
"""The login of `make run ARGS="--auth"`: what an application of your own does for its users, as small as it can be.

    login.py PORT SECRET-FILE

    POST /login   name=ann            a session cookie; this demo asks for no password
    POST /logout                      ends the session
    POST /token                       with the cookie: {"token": "..", "name": "ann", "channels": [..]}

The token is a JWT (RFC 7519), signed by HS256 with the secret that the gateways have (--jwt-secret-file). It names the
user, the channels that the user may have, and its own end. Real applications have a library for it.
"""

import base64
import hashlib
import hmac
import http.server
import json
import re
import secrets
import sys
import time
import urllib.parse

TOKEN_SECONDS = 600
BODY_MAX = 1024
SESSIONS_MAX = 1000
COOKIE = "demo_session"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")

sessions = {}  # id of a session -> name of the user


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def channels_of(name):
    return ["demo", f"user:{name}"]


def make_token(name, secret):
    now = int(time.time())
    claims = {"sub": name, "jti": secrets.token_urlsafe(12), "iat": now, "exp": now + TOKEN_SECONDS,
              "channels": channels_of(name)}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return signed + "." + base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


class Login(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_POST(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_MAX:
            self.close_connection = True
            self.answer(413, {"error": "the body is too long"})
            return
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        actions = {"/login": self.login, "/logout": self.logout, "/token": self.token}
        actions.get(self.path, self.missing)(body)

    def login(self, body):
        name = urllib.parse.parse_qs(body).get("name", [""])[0]
        if not NAME.fullmatch(name):
            self.answer(400, {"error": "A name has 1 to 32 of A-Z a-z 0-9 _ . -"})
            return
        while len(sessions) >= SESSIONS_MAX:
            del sessions[next(iter(sessions))]
        session = secrets.token_urlsafe(24)
        sessions[session] = name
        # HttpOnly: no script reads it. SameSite: no page of another site sends it. Add Secure where there is TLS.
        self.answer(200, {"name": name}, f"{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/")

    def logout(self, _body):
        sessions.pop(self.session(), None)
        self.answer(200, {}, f"{COOKIE}=; Max-Age=0; HttpOnly; SameSite=Strict; Path=/")

    def token(self, _body):
        name = sessions.get(self.session())
        if name is None:
            self.answer(401, {"error": "Sign in first."})
            return
        self.answer(200, {"token": make_token(name, self.server.secret), "name": name, "channels": channels_of(name)})

    def missing(self, _body):
        self.answer(404, {"error": "no such page"})

    def session(self):
        found = re.search(rf"(?:^|; *){COOKIE}=([A-Za-z0-9_-]+)", self.headers.get("Cookie", ""))
        return found.group(1) if found else None

    def answer(self, status, value, cookie=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)


def main():
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit("usage: login.py PORT SECRET-FILE")
    with open(sys.argv[2], "rb") as file:
        secret = file.read().rstrip(b"\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Login)
    server.secret = secret
    server.serve_forever()


if __name__ == "__main__":
    main()
