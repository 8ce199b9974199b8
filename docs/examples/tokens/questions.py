"""The queue of questions in Redis: each is one worker's until that has answered it, or has not renewed its lease."""

from asyncio import sleep

from redis.exceptions import ResponseError

QUEUE, GROUP, LEASE = "answers", "workers", 3  # s


async def open_queue(client):
    try:
        await client.xgroup_create(QUEUE, GROUP, "0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):  # it is there
            raise


async def take(client, name):
    """Questions for the worker `name`: what another has left, else a new one, else none after a second."""
    left = (await client.xautoclaim(QUEUE, GROUP, name, LEASE * 1000, count=1))[1]
    return left or [one for _, new in await client.xreadgroup(GROUP, name, {QUEUE: ">"}, 1, 1000) for one in new]


async def renew(client, name, question_id):
    while True:
        await client.xclaim(QUEUE, GROUP, name, 0, [question_id], justid=True)
        await sleep(LEASE / 3)


async def done(client, question_id):
    await client.xack(QUEUE, GROUP, question_id)
