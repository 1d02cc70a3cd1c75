"""Envoy's `ext_authz` by gRPC Core: `authz_server.py ADDRESS`. The field `x-ask` says what it decides.

The messages are read and written by hand, from their definition and with nothing of Envoy's or Tollgate's.
"""

import sys
import threading
from concurrent import futures

import grpc

asked = 0
counting = threading.Lock()


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(tag, value):
    """A number, or bytes, text or a message with their length."""
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(value)) + value


def parse(message):
    """The values of a message by their tags."""
    values, at = {}, 0

    def number():
        nonlocal at
        result, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while at < len(message):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 2:
            length = number()
            value, at = message[at : at + length], at + length
            assert len(value) == length, "cut short"
        else:
            raise ValueError(f"wire type {key & 7}")
        values.setdefault(key >> 3, []).append(value)
    return values


def one(values, *tags):
    for tag in tags[:-1]:
        values = parse(values[tag][0])
    return values.get(tags[-1], [b""])[0]


def option(name, value, action):
    """`HeaderValueOption`: 0 appends, 1 adds where there is none, 2 replaces or adds."""
    return field(1, field(1, name) + field(2, value)) + field(3, action)


def passing(told, number):
    ok = b"".join(
        [
            field(2, option("x-user", "alice", 2)),
            field(2, option("x-told", told, 2)),
            field(2, option("x-number", str(number), 2)),
            field(2, option("x-many", "more", 0)),
            field(2, option("host", "elsewhere.example", 2)),
            field(5, "x-internal"),
            field(6, option("x-decided", "yes", 0)),
            field(7, field(1, "plan") + field(2, "gold & more")),
            field(8, "secret"),
        ]
    )
    return field(1, field(1, 0)) + field(3, ok)


def refusing():
    denied = b"".join(
        [
            field(1, field(1, 429)),
            field(2, option("retry-after", "7", 2)),
            field(2, option("content-type", "text/x-reason", 2)),
            field(2, option("transfer-encoding", "chunked", 2)),
            field(3, "not now"),
        ]
    )
    return field(1, field(1, 7)) + field(2, denied)


def check(request, context):
    global asked
    with counting:
        asked += 1
        number = asked
    http = parse(one(parse(request), 1, 4, 2))
    headers = {}
    for entry in http.get(3, []):
        entry = parse(entry)
        headers[one(entry, 1).decode()] = one(entry, 2).decode()
    what = headers.get("x-ask", "")
    if what == "slow":
        # Longer than anybody waits; over as soon as nobody does.
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(60)
    if what == "broken":
        context.abort(grpc.StatusCode.INTERNAL, "it broke")
    if what == "garbage":
        return b"\xff" * 10
    if what == "deny":
        return refusing()
    if what == "bare":
        # A status alone: 403 for the client.
        return field(1, field(1, 16))
    address = one(parse(request), 1, 1, 1, 1, 2).decode()
    parts = [2, 4, 5, 6, 10]
    told = " ".join([http.get(part, [b"-"])[0].decode() for part in parts] + [address])
    return passing(told, number)


def main():
    method = grpc.unary_unary_rpc_method_handler(check)
    handler = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method})
    # Of two servers at one address, one would answer for the other.
    server = grpc.server(futures.ThreadPoolExecutor(40), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((handler,))
    assert server.add_insecure_port(sys.argv[1])
    server.start()
    server.wait_for_termination()


main()
