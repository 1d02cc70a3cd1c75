"""HTTP/3 by aioquic: `h3_client.py PORT CA-FILE NAME CASE...`."""

import asyncio
import socket
import sys
import time

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

PORT, CA, NAME = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PATIENCE = 20


class Answer:
    def __init__(self):
        self.head, self.body, self.trailers, self.interim = None, bytearray(), None, []
        self.reset = None
        self.ended = asyncio.get_running_loop().create_future()
        self.begun = asyncio.get_running_loop().create_future()

    @property
    def status(self):
        assert self.head is not None, f"no answer: {vars(self)}"
        return self.head[":status"]

    def end(self):
        if not self.ended.done():
            self.ended.set_result(self)


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http, self.answers, self.terminated = H3Connection(self._quic), {}, None

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.terminated = event
            for answer in self.answers.values():
                answer.reset = answer.reset or event
                answer.end()
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            self.answers[event.stream_id].reset = event
            self.answers[event.stream_id].end()
        for part in self.http.handle_event(event):
            answer = self.answers.get(part.stream_id)
            if answer is None:
                continue
            if isinstance(part, HeadersReceived):
                self.head(answer, {name.decode(): value.decode() for name, value in part.headers})
            elif isinstance(part, DataReceived):
                answer.body += part.data
            if part.stream_ended:
                answer.end()

    @staticmethod
    def head(answer, head):
        if answer.head is not None:
            answer.trailers = head
        elif head[":status"].startswith("1"):
            answer.interim.append(head)
        else:
            answer.head = head
            answer.begun.set_result(None)

    def begin(self, method, path, fields=(), end=False):
        stream = self._quic.get_next_available_stream_id()
        answer = self.answers[stream] = Answer()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", NAME.encode()), (b":path", path)]
        self.http.send_headers(stream, head + list(fields), end_stream=end)
        self.transmit()
        return stream, answer

    def send(self, stream, data, end=False):
        self.http.send_data(stream, data, end_stream=end)
        self.transmit()

    def trailers(self, stream, fields):
        self.http.send_headers(stream, fields, end_stream=True)
        self.transmit()

    async def ask(self, method, path, body=None, fields=()):
        stream, answer = self.begin(method, path, fields, end=body is None)
        if body is not None:
            self.send(stream, body, end=True)
        return await asyncio.wait_for(answer.ended, PATIENCE)


def session(**more):
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name=NAME, cafile=CA)
    settings.max_data, settings.max_stream_data = 4 << 20, 1 << 20
    for name, value in more.items():
        setattr(settings, name, value)
    return connect("127.0.0.1", PORT, configuration=settings, create_protocol=Client)


def pattern(length):
    return (bytes(range(251)) * (length // 251 + 1))[:length]


async def get():
    async with session() as client:
        answer = await client.ask(b"GET", b"/hello?x=1", fields=[(b"x-ask", b"yes")])
        assert (answer.status, bytes(answer.body)) == ("200", b"GET /hello?x=1"), vars(answer)
        # Without a length, since aioquic holds it against answers to HEAD as well.
        answer = await client.ask(b"HEAD", b"/no-length")
        assert (answer.status, bytes(answer.body)) == ("200", b""), vars(answer)
        answer = await client.ask(b"GET", b"/%00")
        assert answer.status == "400", vars(answer)


async def bodies():
    async with session() as client:
        for size in (0, 1, 65_536, 8_000_000):
            body = pattern(size)
            answer = await client.ask(b"POST", b"/echo", body)
            assert answer.status == "200" and answer.body == body, (size, answer.head, len(answer.body))
        # A length that is told.
        answer = await client.ask(b"PUT", b"/echo", body, [(b"content-length", str(len(body)).encode())])
        assert answer.status == "200" and answer.body == body


async def streams():
    """Many streams, of sizes that differ, more than may be open at once."""
    async with session() as client:
        allowed = asyncio.Semaphore(90)

        async def one(number):
            async with allowed:
                body = pattern(number * 37 % 20_000)
                answer = await client.ask(b"POST", b"/echo?%d" % number, body)
                assert answer.status == "200" and answer.body == body, number

        await asyncio.gather(*(one(number) for number in range(1000)))


async def trailers():
    async with session() as client:
        stream, answer = client.begin(b"POST", b"/trailers", [(b"te", b"trailers"), (b"trailer", b"x-sum")])
        client.send(stream, b"body")
        client.trailers(stream, [(b"x-sum", b"4")])
        await asyncio.wait_for(answer.ended, PATIENCE)
        assert answer.status == "200" and answer.body == b"x-sum: 4", vars(answer)
        assert answer.trailers == {"x-end": "yes"}, answer.trailers


async def migration():
    """The client's address changes in the middle of an upload, more than once."""
    async with session() as client:
        body = pattern(3_000_000)
        stream, answer = client.begin(b"POST", b"/echo")
        pieces = [body[at : at + 300_000] for at in range(0, len(body), 300_000)]
        for number, piece in enumerate(pieces):
            client.send(stream, piece, end=number == len(pieces) - 1)
            if number in (2, 5):
                await rebind(client)
            await client.ping()
        await asyncio.wait_for(answer.ended, PATIENCE)
        assert answer.status == "200" and answer.body == body, len(answer.body)
        assert client.terminated is None


async def rebind(client):
    """As a NAT that forgot: the same connection from another port."""
    before = client._transport.get_extra_info("sockname")[1]
    new = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    new.bind(("::", 0))
    loop, old = asyncio.get_running_loop(), client._transport
    transport, _ = await loop.create_datagram_endpoint(lambda: Forwarding(client), sock=new)
    client._transport = transport
    old._protocol = asyncio.DatagramProtocol()
    old.abort()
    assert transport.get_extra_info("sockname")[1] != before


class Forwarding(asyncio.DatagramProtocol):
    def __init__(self, client):
        self.client = client

    def datagram_received(self, data, address):
        self.client.datagram_received(data, address)


async def cancelled():
    """A stream given up in the middle harms no other."""
    async with session() as client:
        other, other_answer = client.begin(b"POST", b"/echo")
        for _ in range(20):
            stream, answer = client.begin(b"POST", b"/echo")
            client.send(stream, b"some")
            client._quic.reset_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
            client._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
            client.transmit()
        client.send(other, b"all of it", end=True)
        await asyncio.wait_for(other_answer.ended, PATIENCE)
        assert other_answer.body == b"all of it"
        answer = await client.ask(b"GET", b"/hello")
        assert answer.status == "200"


async def resumed():
    """A second connection by the ticket of the first."""
    tickets = []
    settings = dict(alpn_protocols=H3_ALPN, is_client=True, server_name=NAME, cafile=CA)
    for turn in range(2):
        configuration = QuicConfiguration(**settings)
        if turn:
            configuration.session_ticket = tickets[0]
        async with connect(
            "127.0.0.1", PORT, configuration=configuration, create_protocol=Client,
            session_ticket_handler=tickets.append,
        ) as client:
            answer = await client.ask(b"GET", b"/hello")
            assert answer.status == "200"
            assert client._quic.tls.session_resumed == bool(turn), turn
            assert not client._quic.tls.early_data_accepted
            # Tickets come after the handshake.
            end = time.monotonic() + PATIENCE
            while not tickets:
                assert time.monotonic() < end, "no ticket"
                await client.ping()


async def malformed():
    """What the standard forbids ends the stream or the connection, and nothing else."""
    async with session() as client:
        # Connection-specific fields (RFC 9114 section 4.2).
        for bad in [(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"te", b"gzip")]:
            answer = await client.ask(b"GET", b"/hello", fields=[bad])
            assert answer.reset is not None or answer.status == "400", (bad, vars(answer))
        # A body that is not as long as told.
        answer = await client.ask(b"POST", b"/echo", b"four", [(b"content-length", b"5")])
        assert answer.reset is not None or answer.status == "400", vars(answer)
    async with session() as client:
        # A second control stream is an error of the connection.
        stream = client._quic.get_next_available_stream_id(is_unidirectional=True)
        client._quic.send_stream_data(stream, b"\x00")
        client.transmit()
        await asyncio.wait_for(client.wait_closed(), PATIENCE)
        assert client.terminated.error_code == ErrorCode.H3_STREAM_CREATION_ERROR, client.terminated
    async with session() as client:
        assert (await client.ask(b"GET", b"/hello")).status == "200"


CASES = dict(
    get=get, bodies=bodies, streams=streams, trailers=trailers, migration=migration, cancelled=cancelled,
    resumed=resumed, malformed=malformed,
)


async def main():
    for name in sys.argv[4:] or CASES:
        began = time.monotonic()
        await CASES[name]()
        print(f"ok {name} {time.monotonic() - began:.2f} s")
    print("all is well")


if __name__ == "__main__":
    asyncio.run(main())
