"""Scoring: from a request to the arguments of `run()`, and from what it returned, or raised, to the answer's bytes.

Nothing here waits or knows how the script is run: a worker calls `begin` and, where the script is to answer, `start`,
run(), then `finish` or `fail`.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import Any
from urllib.parse import parse_qsl

from serving import contract, cors, http1, inputs
from serving.answer_json import to_json
from serving.call import Call, current_call
from serving.collection import Sampler
from serving.contract import IdError, Ids, echo, error_body
from serving.logs import AccessLog
from serving.operations import PATHS, Operations
from serving.scoreboard import Row, Scoreboard
from serving.script import InputKind, Script
from serving.settings import Settings
from serving.swagger import Swagger, SwaggerError

logger = logging.getLogger("azmlinfsrv")

RETRY_AFTER_SECONDS = 1
REJECTION_LIMIT = 300
# Of an answer that run() makes itself, these are the server's to give; so are the ids, where the request has them.
_OWN_HEADERS = frozenset(
    ("connection", "content-length", "content-type", "date", "server", "transfer-encoding", "x-ms-run-fn-exec-ms")
)


class ScoringTimeout(BaseException):
    """run() took longer than SCORING_TIMEOUT_MS. No Exception, so that a script's own handlers let it pass."""


class Scorer:
    """Answers the requests of one worker."""

    def __init__(
        self,
        script: Script,
        settings: Settings,
        scoreboard: Scoreboard,
        row: Row,
        sampler: Sampler | None,
    ) -> None:
        self.script = script
        self.row = row
        self.keeps_connections = True  # until the worker is told to end
        self._access = AccessLog(logger)
        self._scoreboard = scoreboard
        self._sampler = sampler
        self._limit = settings.max_concurrent_requests
        self._timeout_ms = settings.scoring_timeout_ms
        self._read = inputs.reader(script)
        self._is_raw = script.kind is InputKind.RAW
        self._swagger = Swagger(script, settings)
        self._operations = Operations(settings, scoreboard, row)
        self._cors_origins = settings.cors_origins
        self._server_version = http1.SERVER_NAME if settings.send_server_version else ""

    def begin(self, call: Call) -> bytes | None:
        """The answer, where the script is not needed for it; None once `call.arguments` are ready for run()."""
        try:
            return self._begin(call)
        except Exception:
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(contract.INTERNAL_ERROR), failed=False)

    def _begin(self, call: Call) -> bytes | None:
        request = call.request
        path = request.path
        call.keep_alive = call.keep_alive and self.keeps_connections
        if path != "/score":
            return self._other(call, path)
        row = self.row
        try:
            call.ids = Ids(request.headers)
        except IdError as error:
            call.ids = error.ids
            return self._refuse(call, 431, str(error))
        method = request.method
        if method not in ("GET", "POST") and not (self._is_raw and method in ("OPTIONS", "HEAD")):
            if method == "OPTIONS":
                return self._answer(call, 200, b"", content_type=contract.TEXT, failed=False)
            message = "Method not allowed" if method == "HEAD" else contract.METHOD_NOT_ALLOWED
            return self._refuse(call, 405, message)
        if self._scoreboard.in_flight() >= self._limit:
            message = f"The service is answering {self._limit} requests already. Try again later."
            return self._refuse(call, 429, message, [("Retry-After", str(RETRY_AFTER_SECONDS))])
        try:
            call.arguments = self._read(request)
        except inputs.InputError as error:
            return self._refuse(call, error.status, error.message)
        if self.script.wants_headers:
            call.arguments["request_headers"] = {name.title(): value for name, value in request.headers.items()}
        row.add("in_flight")
        call.is_counted = True
        return None

    def start(self, call: Call) -> None:
        """Note that run() begins for a call that `begin` has let pass."""
        current_call.set(call)
        call.started = time.perf_counter()
        self.row.observe("queue", call.started - call.received)

    def give_up(self, call: Call) -> bytes:
        """The answer to a call whose run() never got its turn."""
        self.leave(call)
        message = f"No worker was free within {self._timeout_ms / 1000:g} s. Try again later."
        return self._refuse(call, 503, message, [("Retry-After", str(RETRY_AFTER_SECONDS))])

    def finish(self, call: Call, output: Any) -> bytes:
        """The answer to a call whose run() returned `output`."""
        elapsed = self._end(call)
        try:
            if self._is_http_response(output):
                return self._http_response(call, output, elapsed)
            body = to_json(output)
        except Exception:
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(contract.INTERNAL_ERROR), failed=False)
        return self._answer(call, 200, body, [("x-ms-run-fn-exec-ms", f"{elapsed * 1000:.3f}")], failed=False)

    def fail(self, call: Call, error: BaseException) -> bytes:
        """The answer to a call whose run() raised `error`."""
        self._end(call)
        try:
            return self._fail(call, error)
        except Exception:  # the script's exceptions may fail themselves, when they are asked for their message
            self.row.add("run_failures")
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(contract.SCRIPT_FAILED), failed=True)

    def _fail(self, call: Call, error: BaseException) -> bytes:
        if isinstance(error, ScoringTimeout):
            self.row.add("run_timeouts")
            logger.error("run() was stopped after SCORING_TIMEOUT_MS, %s ms", self._timeout_ms)
            return self._answer(call, 500, error_body(f"Scoring timeout after {self._timeout_ms} ms"), failed=True)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        if isinstance(error, ValueError) and not _is_tritons(error):
            reason = " ".join(str(error).split())[:REJECTION_LIMIT]
            self.row.add("run_rejections")
            logger.warning("run() rejected its input: %s", text)
            return self._answer(call, 400, error_body(f"The scoring script rejected the input: {reason}"), failed=False)
        self.row.add("run_failures")
        logger.error("Encountered Exception: %s", text)
        return self._answer(call, 500, error_body(contract.SCRIPT_FAILED), failed=True)

    def leave(self, call: Call) -> None:
        """Count a call no longer among those in flight. `finish` and `fail` do; once more does no harm."""
        call.keep_alive = call.keep_alive and self.keeps_connections
        if call.is_counted:
            call.is_counted = False
            self.row.add("in_flight", -1)

    def protocol_error(self, error: http1.ProtocolError) -> bytes:
        """The answer to what was no request. The connection ends with it."""
        self.row.count_status(error.status)
        return http1.response(error.status, error_body(error.message), keep_alive=False)

    def _end(self, call: Call) -> float:
        elapsed = call.run_seconds = time.perf_counter() - call.started
        self.leave(call)
        self.row.observe("run", elapsed)
        if call.triton_seconds:
            self.row.observe("triton", call.triton_seconds)
        return elapsed

    def _other(self, call: Call, path: str) -> bytes:
        request = call.request
        if path in PATHS:
            return self._operations.answer(request, call.keep_alive)
        if path != "/swagger.json":
            return self._plain(call, 404, error_body(contract.NOT_FOUND))
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return self._plain(call, 405, error_body(contract.METHOD_NOT_ALLOWED))
        try:
            call.ids = Ids(request.headers)
        except IdError as error:
            call.ids = error.ids
            return self._refuse(call, 431, str(error))
        if request.method == "OPTIONS":
            return self._answer(call, 200, b"", [contract.ALLOW], content_type=contract.TEXT)
        # Of several, the first counts.
        version = dict(reversed(parse_qsl(request.query, keep_blank_values=True))).get("version", "2")
        try:
            return self._answer(call, 200, self._swagger.document(version), failed=False)
        except SwaggerError as error:
            return self._refuse(call, 404, str(error))

    def _plain(self, call: Call, status: int, body: bytes) -> bytes:
        self.row.count_status(status)
        is_head = call.request.method == "HEAD"
        return http1.response(status, body, contract.NOT_FAILED, keep_alive=call.keep_alive, is_head=is_head)

    def _refuse(self, call: Call, status: int, message: str, headers: contract.Headers | None = None) -> bytes:
        return self._answer(call, status, error_body(message), headers, failed=False, log=status != 431)

    def _answer(
        self,
        call: Call,
        status: int,
        body: bytes,
        headers: contract.Headers | None = None,
        *,
        content_type: str | None = "application/json",
        failed: bool | None = None,
        log: bool = True,
    ) -> bytes:
        request = call.request
        all_headers = [("x-ms-run-function-failed", str(failed))] if failed is not None else []
        if call.ids is not None:
            all_headers += echo(call.ids, request, self._server_version)
        if headers:
            all_headers += headers
        if self._cors_origins:
            all_headers += cors.headers(request, self._cors_origins)
        seconds = time.perf_counter() - call.received
        self.row.count_status(status)
        if self._sampler is not None and call.started and call.ids is not None:
            content = request.body if request.method != "GET" else request.query.encode()
            self._sampler.offer(call.ids.request, call.ids.client, status, seconds, content, body)
        if log:
            self.row.observe("request", seconds)
            target = request.target.decode("latin-1")
            self._access.write(request.method, target, status, seconds, len(body))
        return http1.response(
            status,
            body,
            all_headers,
            content_type=content_type,
            keep_alive=call.keep_alive,
            is_head=request.method == "HEAD",
        )

    @staticmethod
    def _is_http_response(output: Any) -> bool:
        werkzeug = sys.modules.get("werkzeug.wrappers")
        return werkzeug is not None and isinstance(output, werkzeug.Response)

    def _http_response(self, call: Call, output: Any, elapsed: float) -> bytes:
        if output.status_code >= 500:
            output.headers["x-ms-run-function-failed"] = "True"
        assert call.ids is not None
        own = {name.lower() for name, _ in echo(call.ids, call.request, self._server_version)} | _OWN_HEADERS
        headers = [(name, value) for name, value in output.headers.items() if name.lower() not in own]
        headers.append(("x-ms-run-fn-exec-ms", f"{elapsed * 1000:.3f}"))
        body = output.get_data()
        return self._answer(call, output.status_code, body, headers, content_type=output.headers.get("Content-Type"))


def _is_tritons(error: BaseException) -> bool:
    """Whether an exception comes out of tritonclient: what it could not read was Triton's answer, not the input."""
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).startswith("tritonclient."):
            return True
        frame = frame.tb_next
    return False
