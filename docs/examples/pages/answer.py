"""Publishes the answer of a language model while it is made, on a channel of its own.

MODEL | REDIS_URL=redis://127.0.0.1:6379 python3 answer.py answer:17
A line of standard input is a token, as JSON. The gateways: --durable 'answer:*'
"""

import asyncio
import json
import os
import sys

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SECONDS = 0.04  # what comes within them is one event: at most 25 a second
KEPT = ("maxlen", 100000, "maxage", 3600)  # the whole answer, until it is stored


async def publish_answer(client, channel, tokens):
    key, waiting = f"sse:{{{channel}}}", []

    def publish(event, data=""):
        return client.fcall("sse_publish", 1, key, data, event, "", *KEPT)

    async def collect():
        async for token in tokens:
            waiting.append(token)

    model = asyncio.create_task(collect())
    try:
        while waiting or not model.done():
            text, waiting[:] = "".join(waiting), []
            if text:
                await publish("text", text)
            await asyncio.wait([model], timeout=SECONDS)
        await model  # raises what the model's client raised
    except Exception:
        await publish("failed")
        raise
    await publish("done")


async def tokens_of_input():
    lines = asyncio.StreamReader()
    loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(lines)
    await loop.connect_read_pipe(lambda: protocol, sys.stdin)
    async for line in lines:
        yield json.loads(line)


async def main(channel):
    # No second try: what was published twice would be in the answer twice.
    url, retry = os.environ["REDIS_URL"], Retry(NoBackoff(), 0)
    async with redis.from_url(url, retry=retry) as client:
        await publish_answer(client, channel, tokens_of_input())


asyncio.run(main(sys.argv[1]))
