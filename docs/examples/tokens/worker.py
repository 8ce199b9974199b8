"""Answers questions, each in a channel of its own: REDIS_URL=redis://127.0.0.1:6379 python3 worker.py NAME
Any number may run. When one dies, another goes on from what the channel has. The gateways: --durable 'answer:*'"""
import asyncio
import os
import sys

import model
import questions
from channel import KEPT, Channel, Taken
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

WINDOW, AT_ONCE = 0.04, 20  # s that one event gathers; answers at one time
SNAPSHOT = int(os.environ.get("SNAPSHOT_EVENTS", "500"))  # events from one with the whole text to the next
UNHEARD = float(os.environ.get("UNHEARD_SECONDS", "60"))  # s that an answer goes on that reaches no gateway


async def write(channel, thinking, waiting):
    while True:
        await asyncio.wait([thinking], timeout=WINDOW)
        events = [("text", "".join(waiting))] if waiting else []
        waiting.clear()
        if thinking.done() or channel.seconds_unheard > UNHEARD:
            verdict = "stopped" if not thinking.done() else "failed" if thinking.exception() else "done"
            return await channel.append([*events, (verdict, "")], "end", KEPT)
        if channel.last % SNAPSHOT == 0:  # a tab that opens now reads this and what follows
            await channel.append([("snapshot", channel.text)], "snapshot", 1)
        if events:
            await channel.append(events)
            channel.text += events[0][1]


async def serve(client, name):
    while True:
        for question_id, job in await questions.take(client, name):
            channel, waiting = await Channel(client, job["channel"], name).read(), []
            thinking = asyncio.create_task(model.write_to(waiting, job["question"], channel.text))
            renewing = asyncio.create_task(questions.renew(client, name, question_id))
            try:
                if not channel.is_over:
                    await write(channel, thinking, waiting)
                await questions.done(client, question_id)
            except Taken:
                pass  # the worker that has it says when it is done; a stopped one is found to be over
            if thinking.done() and thinking.exception():
                print(job["channel"], repr(thinking.exception()), file=sys.stderr)
            thinking.cancel()
            renewing.cancel()


async def main(name):
    options = {"decode_responses": True, "retry": Retry(ExponentialBackoff(cap=1, base=0.01), 10)}
    async with redis.from_url(os.environ["REDIS_URL"], **options) as client:
        await questions.open_queue(client)
        await asyncio.gather(*(serve(client, name) for _ in range(AT_ONCE)))


asyncio.run(main(sys.argv[1]))
