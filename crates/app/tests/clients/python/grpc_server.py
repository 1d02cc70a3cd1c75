"""A gRPC server whose methods take and give bytes. Prints its port; ends with the process."""

import sys
import threading
import time
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def unary(request, context):
    sent = dict(context.invocation_metadata())
    if "x-ask" in sent:
        context.send_initial_metadata((("x-answer", sent["x-ask"]), ("x-answer-bin", bytes(range(256)))))
        context.set_trailing_metadata((("x-trailer", "after"), ("x-trailer-bin", b"\x00\xff")))
    return request


def server_stream(request, context):
    count, size = (int(part) for part in request.split())
    for number in range(count):
        yield number.to_bytes(4, "big") + b"s" * size


def client_stream(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def bidi(requests, context):
    for request in requests:
        yield request


def fail(request, context):
    code, details = request.decode().split(" ", 1)
    context.set_trailing_metadata((("x-why", "asked-to"),))
    context.abort(grpc.StatusCode[code], details)


def fail_after(request, context):
    """Some messages, then an error."""
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "then it broke")


def remaining(request, context):
    left = context.time_remaining()
    return b"none" if left is None or left > 10**8 else str(left).encode()


def never(request, context):
    """Nothing, for longer than anybody waits."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(60)
    return b""


def wait(request, context):
    """Until the client cancels."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(60)
    cancelled.release()
    return b""


def wait_stream(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    yield b"waiting"
    ended.wait(60)
    cancelled.release()


def await_cancelled(request, context):
    """Until so many calls were cancelled since the last time."""
    for _ in range(int(request)):
        if not cancelled.acquire(timeout=15):
            return b"no"
    return b"yes"


def check(request, context):
    """grpc.health.v1.Health/Check: SERVING."""
    return b"\x08\x01"


def handlers():
    one_one = grpc.unary_unary_rpc_method_handler
    one_many = grpc.unary_stream_rpc_method_handler
    return {
        "test.Echo": {
            "Unary": one_one(unary),
            "ServerStream": one_many(server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
            "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
            "Fail": one_one(fail),
            "FailAfter": one_many(fail_after),
            "Remaining": one_one(remaining),
            "Wait": one_one(wait),
            "WaitStream": one_many(wait_stream),
            "AwaitCancelled": one_one(await_cancelled),
        },
        "test.Hasty": {"Unary": one_one(never)},
        "grpc.health.v1.Health": {"Check": one_one(check)},
    }


def main():
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=options)
    for service, methods in handlers().items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    if len(sys.argv) > 1:
        key, cert = (open(path, "rb").read() for path in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"port {port}", flush=True)
    while True:
        time.sleep(3600)


main()
