"""Hooks into `tritonclient`, so that a script's one global client is safe, concurrent and traceable.

- Its HTTP client has a pool of connections, by default of one connection, that belongs to the thread that made it. Used
  by another thread, it hangs. Here every thread has a pool of its own, with room for every request.
- The id of the current request becomes the id of the inference, where the script gives none: Triton logs it.
- The time that a request waits for Triton goes into the metrics, and meanwhile another run() may have its turn.
- Where the request has a trace, the call has a span, below which Triton hangs its own.
- The system itself says whether an idle connection is still open. gevent's select() takes a good part of the whole
  request's time for that, and knows no file descriptor above 1023.
"""

from __future__ import annotations

import functools
import socket
import time
from _thread import _local as ThreadLocal  # before gevent replaces it: a pool is a thread's, not a greenlet's
from collections.abc import Callable
from select import POLLIN, poll  # the system's, for the same reason
from types import ModuleType
from typing import Any

from serving.script import import_hooks
from serving.script.call import add_triton_seconds, begin_triton_call, request_id, triton_call
from serving.settings import Settings
from serving.workers import turns

# Where `request_id` stands among the arguments of infer(), `self` included.
_ID_POSITION = 5
# The attribute of an `InferAsyncRequest` that holds its open span.
_SPAN = "_serving_span"


def install(settings: Settings) -> None:
    """Wrap methods of the client modules when a script imports them."""
    connections = settings.max_concurrent_requests

    def hook_http(module: Any) -> None:
        module.HTTPClient = _Factory(module.HTTPClient, connections)
        for name in ("infer", "async_infer", "_get", "_post"):
            _hook(module.InferenceServerClient, name)
        _hook(module.InferAsyncRequest, "get_result")

    import_hooks.when_imported("tritonclient.http._client", hook_http)

    def hook_pool(module: ModuleType) -> None:
        module.ConnectionPool._is_socket_alive = staticmethod(_is_open)

    import_hooks.when_imported("geventhttpclient.connectionpool", hook_pool)
    import_hooks.when_imported("tritonclient.grpc._client", lambda module: _hook(module.InferenceServerClient, "infer"))
    for name in ("tritonclient.http.aio", "tritonclient.grpc.aio"):
        import_hooks.when_imported(name, _hook_async_infer)


def _is_open(connection: socket.socket | None) -> bool:
    """Tell whether an idle connection can be used: with something to read, it was closed, or is out of step."""
    if connection is None or connection.fileno() < 0:
        return False
    ready = poll()
    ready.register(connection.fileno(), POLLIN)
    return not ready.poll(0)


class ClientPerThread:
    """Stands for one `geventhttpclient.HTTPClient`: each thread that uses it has its own."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._local = ThreadLocal()

    def get(self, *arguments: Any, **options: Any) -> Any:
        """Send a GET on a connection of this thread."""
        return self._client().get(*arguments, **options)

    def post(self, *arguments: Any, **options: Any) -> Any:
        """Send a POST on a connection of this thread."""
        return self._client().post(*arguments, **options)

    def close(self) -> None:
        """Close this thread's connections; those of other threads end with them."""
        client = getattr(self._local, "client", None)
        if client is not None:
            client.close()

    def _client(self) -> Any:
        try:
            return self._local.client
        except AttributeError:
            client = self._local.client = self._make()
            return client


class _Factory:
    """Stands for the class `geventhttpclient.HTTPClient`; tritonclient calls nothing of it but `from_url`."""

    def __init__(self, client_class: Any, connections: int) -> None:
        self._client_class = client_class
        self._connections = connections

    def from_url(self, url: Any, *, concurrency: int = 1, **options: Any) -> ClientPerThread:
        size = max(concurrency, self._connections)
        return ClientPerThread(lambda: self._client_class.from_url(url, concurrency=size, **options))


def _hook(client_class: Any, name: str) -> None:
    """Wrap a method that waits for Triton: it gives its turn away, is timed, and carries the request's id."""
    original = getattr(client_class, name)
    infers = name in ("infer", "async_infer")

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        span = getattr(arguments[0], _SPAN, None)  # of the request whose result is asked for
        if infers:
            _add_id(arguments, options)
            span = begin_triton_call(_model_of(arguments, options))
            if span is not None:
                _add_headers(options, span.headers)
        # False where another of these methods calls this one.
        has_left = turns.leave()
        started = time.perf_counter()
        try:
            answer = original(*arguments, **options)
            if span is not None and name == "async_infer":
                setattr(answer, _SPAN, span)
            elif span is not None:
                span.end()
            return answer
        except BaseException as error:
            if span is not None:
                span.end(error)
            raise
        finally:
            if infers or has_left:
                add_triton_seconds(time.perf_counter() - started)
            if has_left:
                turns.come_back()

    setattr(client_class, name, call)


def _hook_async_infer(module: Any) -> None:
    original = module.InferenceServerClient.infer

    @functools.wraps(original)
    async def infer(*arguments: Any, **options: Any) -> Any:
        _add_id(arguments, options)
        with triton_call(_model_of(arguments, options)) as headers:
            _add_headers(options, headers)
            return await original(*arguments, **options)

    module.InferenceServerClient.infer = infer


def _add_id(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    if len(arguments) <= _ID_POSITION and not options.get("request_id"):
        options["request_id"] = request_id()


def _model_of(arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    return str(arguments[1] if len(arguments) > 1 else options.get("model_name", ""))


def _add_headers(options: dict[str, Any], headers: dict[str, str]) -> None:
    if headers:
        options["headers"] = {**headers, **(options.get("headers") or {})}
