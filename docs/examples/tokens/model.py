"""In the place of a language model: 40 tokens a second of a text that it knows. `python3 model.py QUESTION` prints all of it."""

import asyncio
import os
import re
import sys

LENGTH = int(os.environ.get("MODEL_TOKENS", "2000"))
PACE = float(os.environ.get("MODEL_PACE", "0.025"))  # s from token to token
TEXT = """This answer is written by one program, and read from whichever gateway your browser has reached. \
Tokens that come within 40 ms are one event, and each event is kept until the answer is stored elsewhere.

Reload this page: the text is whole again. Open it in a second tab: both show the same. Kill a gateway: the browser goes \
on at another one. Kill the worker: another takes over, and what the first would still write is refused.

Text is only text: a na\u00efve <b>tag</b>, a % sign, and \U0001f600 arrive as they were sent."""


def tokens_of(question):
    tokens = re.findall(r"\s*\S{1,6}", "\n\n" + TEXT)
    return [f"You asked: {question}", *(tokens[i % len(tokens)] for i in range(LENGTH))]


async def write_to(waiting, question, text):
    """Appends the tokens that follow `text`, which a worker before has published, to the list `waiting`."""
    for token in tokens_of(question):
        known, text = text[:len(token)], text[len(token):]
        if known != token:
            await asyncio.sleep(PACE)
            waiting.append(token[len(known):])


if __name__ == "__main__":
    print(end="".join(tokens_of(sys.argv[1])))
