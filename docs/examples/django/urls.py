"""Gives signed-in users a token for their streams, in a cookie that gateways take.

python3 -m django migrate --settings settings
python3 -m django createsuperuser --settings settings
python3 -m django runserver --settings settings 3000

The page asks for POST /token at first and a minute before the token ends, and opens
new EventSource("/stream?channel=user:1"). The browser sends the cookie by itself.
"""

import time

import jwt
from django.conf import settings
from django.contrib import auth
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST


@ensure_csrf_cookie
def log_in(request):
    """GET sets the cookie csrftoken; its value goes into X-CSRFToken of each POST."""
    if request.method == "POST":
        name, password = request.POST.get("name"), request.POST.get("password")
        user = auth.authenticate(request, username=name, password=password)
        if user is None:
            return JsonResponse({"error": "wrong name or password"}, status=401)
        auth.login(request, user)
    return HttpResponse(status=204)


@require_POST
def token(request):
    if not request.user.is_authenticated:
        return JsonResponse({"error": "sign in first"}, status=401)
    now, lasts = int(time.time()), settings.STREAM_SECONDS
    claims = {
        "sub": str(request.user.pk),
        "aud": "sse",
        "iat": now,
        "exp": now + lasts,
        "channels": [f"user:{request.user.pk}", "news"],
    }
    value = jwt.encode(claims, settings.STREAM_SECRET, "HS256")
    answer = JsonResponse({"channels": claims["channels"], "expires_in": lasts})
    answer.set_cookie(
        settings.STREAM_COOKIE, value, lasts, secure=True, httponly=True, samesite="Lax"
    )
    return answer


urlpatterns = [path("login", log_in), path("token", token)]
