"""The channel of one answer, as the worker that writes to it has it: read once, then only appended to."""

from time import monotonic

from redis.exceptions import ResponseError

KEPT = 3600  # s after the last event: from then on only your database has the answer


class Taken(Exception):
    """Another has written to the channel: a worker that took the answer over, or the stop button."""


class Channel:
    def __init__(self, client, name, writer):
        self.client, self.key, self.writer = client, f"sse:{{{name}}}", writer
        self.text, self.last, self.is_over = "", 0, False
        self.unheard, self.seconds_unheard = None, 0

    async def read(self):
        """Takes the text so far, the offset of the last event, and whether that has ended the channel from the history."""
        for event_id, entry in await self.client.xrange(self.key):
            self.last, self.is_over = int(event_id.split("-")[1]), "end" in entry
            self.text = {"text": self.text + entry["data"], "snapshot": entry["data"]}.get(entry["event"], self.text)
        return self

    async def append(self, events, *options):
        """All `events` (name, data) in one step."""
        # A key: what is sent again, since its answer was lost, is there once. After: refused where it is not next.
        options = "maxage", KEPT, "key", f"{self.writer} {self.last}", "after", self.last, *options
        args = [len(events), *(part for event in events for part in event), *options]
        try:
            _, gateways = await self.client.fcall("sse_append", 1, self.key, *args)
        except ResponseError as error:
            raise (Taken if str(error).startswith("FENCED") else type(error))(str(error)) from error
        self.last += len(events)
        self.unheard = None if gateways else self.unheard or monotonic()
        self.seconds_unheard = monotonic() - self.unheard if self.unheard else 0  # as of this append, not of now
