"""What a page of a user's orders begins with: the orders, and where its stream goes on.

REDIS_URL=redis://127.0.0.1:6379 python3 page.py USER
"""

import json
import os
import sys

import redis


def position(client, *channels):
    """The last_event_id of a stream that gets all that is published from now on.

    On a cluster: one call for each channel, and commas between the answers.
    """
    keys = [f"sse:{{{channel}}}" for channel in channels]
    try:
        return client.fcall_ro("sse_position", len(keys), *keys)
    except redis.ResponseError as error:
        if "Function not found" not in str(error):
            raise
        raise LookupError(
            "Redis has no function sse_position. Load it: sse-publish --install"
        ) from error


def page(client, user):
    channel = f"orders:{user}"
    # First the position, then the data. What is published between the two is in both: the page
    # knows an order by its number. The other way round it would be in neither.
    last_event_id = position(client, channel)
    orders = client.lrange(f"table:orders:{user}", 0, -1)  # yours are in a database
    return {
        "orders": [json.loads(order) for order in orders],
        "stream": f"/stream?channel={channel}&last_event_id={last_event_id}",
    }


if __name__ == "__main__":
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
    try:
        client = redis.from_url(url, decode_responses=True, socket_timeout=5)
        print(json.dumps(page(client, sys.argv[1])))
    except (redis.RedisError, LookupError) as error:
        sys.exit(f"page: {error}")
