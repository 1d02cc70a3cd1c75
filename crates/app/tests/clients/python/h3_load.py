"""Requests over HTTP/3 until a file is there: `h3_load.py PORT CA-FILE NAME FILE`. Every one must succeed."""

import asyncio
import os
import sys

from h3_client import pattern, session

STOP = sys.argv[4]
done = [0, 0]


async def ask(client, number):
    body = pattern(number * 37 % 5000)
    answer = await client.ask(b"POST", b"/echo?%d" % number, body)
    assert answer.status == "200" and answer.body == body, (number, vars(answer))
    done[0] += 1


async def work(turns):
    """Connections of so many turns each; of one for all the time when it is none."""
    number = 0
    while not os.path.exists(STOP):
        async with session(idle_timeout=60) as client:
            done[1] += 1
            left = turns
            while left != 0 and not os.path.exists(STOP):
                await asyncio.gather(*(ask(client, number + more) for more in range(4)))
                number += 4
                left = left and left - 1
                if number == 4:
                    print("begun", flush=True)


async def main():
    await asyncio.gather(work(None), work(None), work(5), work(20))
    print(f"all is well: {done[0]} requests on {done[1]} connections")


asyncio.run(main())
