"""Settings of a small site. Streams need the last three."""

import os
from pathlib import Path

SECRET_KEY = os.environ["SECRET_KEY"]
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", "site.sqlite3"),
    }
}

# The gateways have this file, too: --jwt-secret-file FILE --jwt-audience sse
STREAM_SECRET = Path(os.environ["JWT_SECRET_FILE"]).read_text().rstrip("\n")
STREAM_SECONDS = 600
# The cookie that gateways look for, unless --token-cookie says otherwise.
STREAM_COOKIE = "__Secure-sse_token"
