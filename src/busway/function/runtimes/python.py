"""Our client of the Lambda Runtime API for Python handlers. Runs in the worker; standard library only.

Speaks HTTP/1.1 over the socket that it is given, by hand: the answer to one event and the request for the next
leave in one write, and what comes back is one read. That is a quarter of the CPU of a general HTTP client.
What a handler sees (context, errors, log lines) is as in AWS's runtime, which does the same over TCP.
"""

from __future__ import annotations

import _thread
import importlib
import json
import os
import socket
import sys
import time
import types
from decimal import Decimal
from importlib.machinery import SourceFileLoader

# Not imported from typing, which would be a third of the time in which a worker starts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from logging import LogRecord
    from types import ModuleType, TracebackType
    from typing import Any

API = b"/2018-06-01/runtime/"
NEXT = b"GET " + API + b"invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"
ONCE = b"POST /2018-06-01/busway/once HTTP/1.1\r\nHost: runtime\r\nContent-Length: %d\r\n\r\n"
READ_SIZE = 262_144


class Identity:
    """Who invoked, through AWS's mobile SDKs; empty here."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Client:
    """The `client` part of a client context."""

    def __init__(self, given: dict[str, Any]) -> None:
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, given.get(name))


class ClientContext:
    """What the caller passed as `X-Amz-Client-Context`."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = Client(given["client"]) if isinstance(given.get("client"), dict) else None


class Context:
    """The handler's second argument, with AWS's attributes."""

    def __init__(self, headers: dict[str, str]) -> None:
        environ = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn", "")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = Identity()
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        given = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(given)) if given else None
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, text: object) -> None:
        sys.stdout.write(str(text))


class Broken(Exception):
    """A fault that is reported with an errorType of AWS's own instead of a Python class."""

    def __init__(self, kind: str, message: str, trace: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.kind, self.trace = kind, list(trace)


def plain(value: object) -> float:
    """What json can't write by itself. As in AWS's runtime, a Decimal is a number."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


encode = json.JSONEncoder(ensure_ascii=False, default=plain).encode


def frames(traceback: TracebackType | None) -> list[str]:
    """The traceback's frames in AWS's format, without those of this file and those that pytest would leave out.

    Of a frame that is left out (`__tracebackhide__`) the event loop that it runs is left out with it.
    """
    lines: list[str] = []
    hidden = False
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        within_loop = hidden and str(frame.f_globals.get("__name__", "")).startswith("asyncio.")
        hidden = within_loop or bool(frame.f_locals.get("__tracebackhide__"))
        if not hidden and code.co_filename != __file__ and not code.co_filename.startswith("<frozen importlib"):
            import linecache

            line = linecache.getline(code.co_filename, traceback.tb_lineno, frame.f_globals).strip()
            at = f'  File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}\n'
            lines.append(f"{at}    {line}\n" if line else at)
        traceback = traceback.tb_next
    return lines


def error_of(error: Exception, request_id: str) -> tuple[str, bytes]:
    """The error object as bytes, in the order of AWS's Python runtime; also printed to the log, as there."""
    kind = error.kind if isinstance(error, Broken) else type(error).__name__
    trace = error.trace if isinstance(error, Broken) else frames(error.__traceback__)
    shape = {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}
    text = f"[ERROR] {kind}: {error}\n"
    if trace:
        text += "Traceback (most recent call last):\n" + "".join(trace)
    sys.stdout.write(text)
    return kind, encode(shape).encode("utf-8", "backslashreplace")


def find_handler(name: str) -> Callable[..., Any]:
    """The function that `module.function` names. Raises `Broken` in AWS's words."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        message = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        raise Broken("Runtime.MalformedHandlerName", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Broken("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {(error.text or "").strip()}\n']
        raise Broken(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace
        ) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Broken("Runtime.HandlerNotFound", message) from error


class Channel:
    """The HTTP connection to the server."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._unread = b""
        self._process = os.getpid()
        # Whose turn it is to speak: this client's between two events, the handler's threads' while one is handled.
        self._turn = _thread.allocate_lock()

    def next(self, out: bytes) -> tuple[dict[str, str], bytes]:
        """Send what ends one event and asks for the next; that event's headers and body."""
        with self._turn:
            self.send(out)
            headers, body = self.receive()
            while "lambda-runtime-aws-request-id" not in headers:
                headers, body = self.receive()
            return headers, body

    def ask(self, body: bytes) -> bytes:
        """The answer to a question about a step. Between two events it waits, as AWS freezes what still runs then."""
        if os.getpid() != self._process:
            raise OSError("only the process that was given the event can, and none that it started")
        with self._turn:
            self.send(ONCE % len(body) + body)
            return self.receive()[1]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> tuple[dict[str, str], bytes]:
        """The next response: (headers by lower-case name, body). Ends the process when the server is gone."""
        data = self._unread
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._read()
        _, *lines = data[:end].decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        start = end + 4
        stop = start + int(headers.get("content-length", "0"))
        if len(data) < stop:
            parts, size = [data], len(data)
            while size < stop:
                parts.append(self._read())
                size += len(parts[-1])
            data = b"".join(parts)
        self._unread = data[stop:]
        return headers, data[start:stop]

    def _read(self) -> bytes:
        data = self._socket.recv(READ_SIZE)
        if not data:
            os._exit(0)
        return data


def post(path: bytes, body: bytes, kind: str = "") -> bytes:
    about = f"Lambda-Runtime-Function-Error-Type: {kind}\r\n".encode() if kind else b""
    head = b"POST " + API + path + b" HTTP/1.1\r\nHost: runtime\r\n" + about
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Runner:
    """Calls the handler, plain or async, and words what comes out of it."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler
        self._runner: Any = None

    def answer(self, headers: dict[str, str], body: bytes) -> bytes:
        """The request that answers one event."""
        request_id = headers["lambda-runtime-aws-request-id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
        to = b"invocation/" + request_id.encode()
        try:
            return post(to + b"/response", self._call(headers, body))
        except Exception as error:  # noqa: BLE001 - whatever it raised is its answer
            kind, text = error_of(error, request_id)
            return post(to + b"/error", text, kind)

    def _call(self, headers: dict[str, str], body: bytes) -> bytes:
        try:
            event = json.loads(body)
        except ValueError as error:
            raise Broken("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
        result = self._handler(event, Context(headers))
        if type(result) is types.CoroutineType:
            # Imported here: it would double the time that a worker without it takes to start.
            import asyncio

            self._runner = self._runner or asyncio.Runner()
            result = self._runner.run(result)
        try:
            return encode(result).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Broken("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def keep_bytecode_in(folder: str) -> None:
    """Keep what is compiled below `folder`, where it can't be kept beside its source, and look there first.

    Like Python's own `pycache_prefix`, which would also overlook what lies compiled beside its source.
    """
    read, write = SourceFileLoader.get_data, SourceFileLoader.set_data
    own = (sys.base_prefix + os.sep, "<")

    def get_data(loader: Any, path: str) -> bytes:
        if path.endswith(".pyc") and not path.startswith(own):
            try:
                return read(loader, folder + path)
            except OSError:
                # Not compiled by a worker of this function yet.
                return read(loader, path)
        return read(loader, path)

    def set_data(loader: Any, path: str, data: bytes, *, _mode: int = 0o666) -> None:
        write(loader, folder + path, data, _mode=_mode)

    patched: Any = SourceFileLoader
    patched.get_data, patched.set_data = get_data, set_data


class LogHandler:
    """AWS's handler of the root logger: `[LEVEL] time request-id message`, printed."""

    def __init__(self) -> None:
        self.request_id = ""

    def install(self, logging: ModuleType) -> None:
        handler = logging.StreamHandler(sys.stdout)
        form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
        handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
        handler.formatter.converter = time.gmtime
        handler.addFilter(self._with_request_id)
        if not logging.getLogger().handlers:
            logging.getLogger().addHandler(handler)

    def _with_request_id(self, record: LogRecord) -> bool:
        record.aws_request_id = self.request_id
        return True


channel: Channel | None = None


def once(body: bytes) -> bytes:
    """What `busway.once` asks the server, over this connection; from any thread."""
    assert channel is not None
    return channel.ask(body)


def serve(fd: int) -> None:
    """Serve events until the server closes the connection."""
    streams: tuple[Any, Any] = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    global channel
    channel, logs = Channel(fd), LogHandler()
    bytecode = os.environ.pop("BUSWAY_BYTECODE", "")
    if bytecode:
        keep_bytecode_in(bytecode)
    try:
        runner = Runner(find_handler(os.environ["_HANDLER"]))
    except Exception as error:  # noqa: BLE001 - whatever its import raised is why it can't start
        kind, text = error_of(error, "")
        sys.stdout.flush()
        channel.send(post(b"init/error", text, kind))
        channel.receive()
        sys.exit(1)
    out, logging_ready = NEXT, False
    while True:
        headers, body = channel.next(out)
        logs.request_id = headers["lambda-runtime-aws-request-id"]
        if not logging_ready and "logging" in sys.modules:
            logs.install(sys.modules["logging"])
            logging_ready = True
        out = runner.answer(headers, body) + NEXT
        sys.stdout.flush()
        sys.stderr.flush()
