"""Calls every kind of method through a proxy: `grpc_client.py TARGET [CA-FILE NAME]`."""

import concurrent.futures
import queue
import sys
import time

import grpc

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PATIENCE = 20


def connect():
    target = sys.argv[1]
    if len(sys.argv) == 2:
        return grpc.insecure_channel(target, options=UNLIMITED)
    credentials = grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
    return grpc.secure_channel(target, credentials, UNLIMITED + [("grpc.ssl_target_name_override", sys.argv[3])])


class Calls:
    def __init__(self, channel, service="test.Echo"):
        self.channel, self.service = channel, service

    def path(self, method):
        return f"/{self.service}/{method}"

    def one(self, method):
        return self.channel.unary_unary(self.path(method))

    def down(self, method):
        return self.channel.unary_stream(self.path(method))

    def up(self, method):
        return self.channel.stream_unary(self.path(method))

    def both(self, method):
        return self.channel.stream_stream(self.path(method))


def failure(call):
    """The error that a call must end with."""
    try:
        result = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"no error, but {result!r:.80}")


def unary(calls):
    for size in (0, 1, 1000, 70_000, 5_000_000):
        message = bytes(size)
        assert calls.one("Unary")(message, timeout=PATIENCE) == message, size


def metadata(calls):
    answer, call = calls.one("Unary").with_call(b"m", timeout=PATIENCE, metadata=(("x-ask", "yes"),))
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert answer == b"m"
    assert first["x-answer"] == "yes" and first["x-answer-bin"] == bytes(range(256)), first
    assert last["x-trailer"] == "after" and last["x-trailer-bin"] == b"\x00\xff", last


def at_once(calls):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        messages = [str(number).encode() * 100 for number in range(500)]
        answers = pool.map(lambda m: calls.one("Unary")(m, timeout=PATIENCE), messages)
        assert list(answers) == messages


def server_stream(calls):
    got = list(calls.down("ServerStream")(b"1000 10", timeout=PATIENCE))
    assert [int.from_bytes(m[:4], "big") for m in got] == list(range(1000))
    got = list(calls.down("ServerStream")(b"20 1000000", timeout=PATIENCE))
    assert sum(map(len, got)) == 20 * 1_000_004
    assert list(calls.down("ServerStream")(b"0 0", timeout=PATIENCE)) == []


def client_stream(calls):
    sent = (b"c" * 50_000 for _ in range(200))
    assert calls.up("ClientStream")(sent, timeout=PATIENCE) == b"10000000"
    assert calls.up("ClientStream")(iter(()), timeout=PATIENCE) == b"0"


def bidi(calls):
    """Each message waits for the answer to the one before: nothing may be held back."""
    messages = queue.Queue()
    answers = calls.both("Bidi")(iter(messages.get, None), timeout=PATIENCE)
    for number in range(200):
        message = b"%d" % number * (1 + number * 10)
        messages.put(message)
        assert next(answers) == message
    messages.put(None)
    assert list(answers) == []


def errors_of_the_server(calls):
    for code in ("NOT_FOUND", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAUTHENTICATED", "ABORTED"):
        error = failure(lambda: calls.one("Fail")(f"{code} weil: ü % 100".encode(), timeout=PATIENCE))
        assert (error.code().name, error.details()) == (code, "weil: ü % 100"), error
        assert dict(error.trailing_metadata())["x-why"] == "asked-to"
    stream = calls.down("FailAfter")(b"", timeout=PATIENCE)
    assert [next(stream), next(stream)] == [b"one", b"two"]
    error = failure(lambda: next(stream))
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "then it broke"), error
    # What the server does not have.
    error = failure(lambda: calls.one("Nothing")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def errors_of_the_proxy(calls):
    error = failure(lambda: Calls(calls.channel, "test.Nowhere").one("Unary")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    error = failure(lambda: Calls(calls.channel, "test.Down").one("Unary")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    assert error.details(), "no message"
    error = failure(lambda: list(Calls(calls.channel, "test.Down").both("Bidi")(iter([b"1", b"2"]), timeout=PATIENCE)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    # The proxy's own limit for this service, since the client sets none.
    error = failure(lambda: Calls(calls.channel, "test.Hasty").one("Unary")(b""))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert "tollgate" in error.details(), error


def deadlines(calls):
    assert calls.one("Remaining")(b"") == b"none"
    left = float(calls.one("Remaining")(b"", timeout=15))
    # The client itself rounds up.
    assert 5 < left <= 15.5, left
    began = time.monotonic()
    error = failure(lambda: calls.one("Wait")(b"", timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - began < 10
    assert calls.one("AwaitCancelled")(b"1", timeout=PATIENCE) == b"yes"


def cancellation(calls):
    waiting = [calls.one("Wait").future(b"", timeout=PATIENCE) for _ in range(5)]
    streams = [calls.down("WaitStream")(b"", timeout=PATIENCE) for _ in range(5)]
    for stream in streams:
        assert next(stream) == b"waiting"
    for call in waiting + streams:
        call.cancel()
    for call in waiting:
        assert call.code() == grpc.StatusCode.CANCELLED
    # Calls that were cancelled before they reached the server are not seen there; those that streamed were.
    assert calls.one("AwaitCancelled")(b"5", timeout=PATIENCE) == b"yes"
    assert calls.one("Unary")(b"still", timeout=PATIENCE) == b"still"


def main():
    channel = connect()
    calls = Calls(channel)
    for case in (
        unary, metadata, at_once, server_stream, client_stream, bidi,
        errors_of_the_server, errors_of_the_proxy, deadlines, cancellation,
    ):
        began = time.monotonic()
        case(calls)
        print(f"ok {case.__name__} {time.monotonic() - began:.2f} s")
    channel.close()
    print("all is well")


main()
