"""The errors of the server, as a tree. Each class stands in the module that raises it; this one has the root.

    ServingError
    ├── SettingsError       settings that nobody can use; the server exits with 1
    ├── ScriptError         a script that the server cannot serve; it exits with 3
    │   └── BootError       the same, and the reason is printed already
    ├── RequestError        a request that run() is not called for; `status` is its answer
    │   ├── ProtocolError   the request is no HTTP, or exceeds a limit
    │   ├── IdError         its id is too long
    │   ├── InputError      its body or query does not fit run()
    │   └── SwaggerError    it asks for a version of `/swagger.json` that does not exist
    ├── AnswerError         run() returned a response that HTTP does not know; its client gets 500
    ├── DayIsFull           the folder of a day holds COLLECT_MAX_DAY_BYTES
    ├── TritonError         Triton refused an inference of `serving.triton.Triton`
    └── Unreachable         a probed server did not answer, or not in HTTP

Three exceptions are no errors of this tree. `ScoringTimeout` and the gevent worker's `_Leave` are a BaseException each,
so that a script's `except Exception` lets them pass. `StreamBroken` is a ConnectionAbortedError, so that a worker ends
the connection as it does for a client who has left.

This module needs nothing but the standard library.
"""

from __future__ import annotations

__all__ = ["RequestError", "ServingError"]


class ServingError(Exception):
    """The root of the server's errors; its text is for people."""


class RequestError(ServingError):
    """A request that run() is not called for; `status` and `message` are the answer that its client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
