"""WebSocket by `websockets`: `ws_client.py URL [CA-FILE]`."""

import asyncio
import ssl
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE = 20


def open_socket(path="", **more):
    url = sys.argv[1] + path
    if url.startswith("wss:"):
        more["ssl"] = ssl.create_default_context(cafile=sys.argv[2])
    more = dict(max_size=None, ping_interval=None, open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None) | more
    return connect(url, **more)


async def asks(socket, message):
    await socket.send(message)
    async with asyncio.timeout(PATIENCE):
        return await socket.recv()


async def messages():
    async with open_socket(subprotocols=["chat"]) as socket:
        assert socket.subprotocol == "chat"
        for message in ("", "text ü", b"", b"\x00\xff" * 100, "x" * 65_535, b"y" * 65_536):
            assert await asks(socket, message) == message
        # Compressed or not, in one frame or in many.
        big = bytes(range(256)) * 4096
        assert len(big) == 1 << 20 and await asks(socket, big) == big
        await socket.send([b"piece"] * 1000)
        assert await socket.recv() == b"piece" * 1000
    async with open_socket(compression=None) as socket:
        assert await asks(socket, big * 4) == big * 4


async def side_by_side():
    async def one(number):
        async with open_socket() as socket:
            for turn in range(20):
                message = f"{number} {turn} " * 50
                assert await asks(socket, message) == message

    await asyncio.gather(*(one(number) for number in range(40)))


async def pings():
    async with open_socket() as socket:
        async with asyncio.timeout(PATIENCE):
            await (await socket.ping(b"from the client"))
        assert await asks(socket, "ping") == "ponged"


async def closes():
    for code in (1000, 1001, 1011, 3000, 4999):
        async with open_socket() as socket:
            await socket.send(f"close {code} weil ü")
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                assert (closed.rcvd.code, closed.rcvd.reason) == (code, "weil ü"), closed
            else:
                raise AssertionError("it did not close")
    # By the client.
    socket = await open_socket()
    await socket.close(4000, "enough")
    assert socket.close_code == 4000, socket.close_code


async def refused():
    try:
        async with open_socket("nowhere"):
            raise AssertionError("it was not refused")
    except InvalidStatus as error:
        assert error.response.status_code == 404, error


async def main():
    for case in (messages, side_by_side, pings, closes, refused):
        began = time.monotonic()
        await case()
        print(f"ok {case.__name__} {time.monotonic() - began:.2f} s")
    print("all is well")


asyncio.run(main())
