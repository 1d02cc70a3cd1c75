"""A WebSocket server: echoes; `close CODE REASON` closes, `ping` pings and tells when the answer came. Prints its port."""

import asyncio

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            await socket.close(int(code), reason)
            return
        if message == "ping":
            await (await socket.ping(b"from the server"))
            message = "ponged"
        await socket.send(message)


def choose(socket, offered):
    return "chat" if "chat" in offered else None


async def main():
    more = dict(max_size=None, subprotocols=["chat"], select_subprotocol=choose, ping_interval=None)
    async with serve(echo, "127.0.0.1", 0, **more) as server:
        print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
