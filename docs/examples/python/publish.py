"""Publishes one text in the three ways there are: plain, with an event name, durable.

REDIS_URL=redis://127.0.0.1:6379 python3 publish.py CHANNEL TEXT
"""

import os
import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def envelope(data, **fields):
    """The data with the fields event, id and retry.

    Text that users wrote goes into an envelope, lest it begins like one.
    """
    for name, value in fields.items():
        if any(c in value for c in "\r\n\0"):
            raise ValueError(f"{name} holds a line break or a NUL")
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return f"\x1eSSE/1\n{lines}\n{data}"


def publish_durable(client, channel, data, event=""):
    """Keeps an event and publishes it. Returns its id, and how many gateways got it."""
    try:
        # The key of the history, and not the channel: on a cluster that is needed.
        return client.fcall("sse_publish", 1, f"sse:{{{channel}}}", data, event)
    except redis.ResponseError as error:
        if "Function not found" not in str(error):
            raise
        raise LookupError(
            "Redis has no function sse_publish. Load it: sse-publish --install"
        ) from error


def main(channel, text):
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
    # No second try: an event whose answer was lost may have been published.
    client = redis.from_url(
        url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    print("plain: gateways", client.publish(channel, text))
    print("named: gateways", client.publish(channel, envelope(text, event="order")))
    event_id, gateways = publish_durable(client, channel, text, "order")
    print(f"durable: gateways {gateways}, id {event_id}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (redis.RedisError, LookupError, ValueError) as error:
        sys.exit(f"publish: {error}")
