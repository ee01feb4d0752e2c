"""Scoring: turns a request into the arguments of `run()`, and its result or exception into the answer's bytes.

Nothing here waits, or knows how a worker runs the script. For each request, a worker calls

    begin ──► the answer                                     where the server itself answers
      └─► start ──► run() ─┬─► finish ──► the answer
                           │     └─► a Stream ──► send_part for each part, or break_off; then end_stream
                           └─► fail ──► the answer           where run() raised an exception
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any
from urllib.parse import parse_qsl

from serving.collection.sampling import Sampler
from serving.front.operations import PATHS, Operations
from serving.front.scoreboard import Row, Scoreboard
from serving.http import client_contract, cors, http1, script_response
from serving.http.client_contract import IdError, Ids, echo, error_body
from serving.http.script_response import AnswerError
from serving.http.stream import Stream, StreamBroken
from serving.probing.probe import CHECK_HEADER, UNRECORDED
from serving.script import inputs
from serving.script.answer_json import to_json
from serving.script.call import Call, current_call
from serving.script.entry_script import InputKind, Script
from serving.script.swagger import Swagger, SwaggerError
from serving.server_log import AccessLog
from serving.settings import Settings

logger = logging.getLogger("azmlinfsrv")

RETRY_AFTER_SECONDS = 1
REJECTION_LIMIT = 300
_FORWARDED = "x-forwarded-for"  # the front door adds it
_MIRRORED = "x-mirrored"  # the front door adds it to a copy, and takes a client's own away
# A ValueError from these modules is not about the input: Triton's answer, or the script's own, was malformed.
_NO_INPUT = (
    "tritonclient.",
    "werkzeug.datastructures.headers",
    "werkzeug.sansio.response",
    "werkzeug.wrappers.response",
)
# What numpy and pandas raise, called from here, for values that are not of the declared type.
_READS_INPUT = ("inference_schema.schema_decorators", "_deserialize_input_argument")
_OF_A_SCHEMA = (TypeError, LookupError, AttributeError, ArithmeticError)


class ScoringTimeout(BaseException):
    """run() took longer than SCORING_TIMEOUT_MS. It is no Exception, so that a script's handlers let it pass."""


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
        self.keeps_connections = True  # until the worker has to end
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
        self._spans = None
        if settings.traces_url is not None:
            from serving.spans import spans_to

            self._spans = spans_to(settings.traces_url)

    def begin(self, call: Call) -> bytes | None:
        """Make the answer where the script is not needed for it; None once `call.arguments` are ready for run()."""
        try:
            return self._begin(call)
        except Exception:
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(client_contract.INTERNAL_ERROR), failed=False)

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
            return self._refuse(call, error.status, error.message)
        method = request.method
        if method not in ("GET", "POST") and not (self._is_raw and method in ("OPTIONS", "HEAD")):
            if method == "OPTIONS":
                return self._answer(call, 200, b"", content_type=client_contract.TEXT, failed=False)
            message = "Method not allowed" if method == "HEAD" else client_contract.METHOD_NOT_ALLOWED
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
        """Note that run() begins, for a call that `begin` did not answer."""
        current_call.set(call)
        call.started = call.since = time.perf_counter()
        self.row.observe("queue", call.started - call.received)
        if self._spans is not None:
            self._spans.start(call)

    def give_up(self, call: Call) -> bytes:
        """Make the answer to a call whose run() did not get its turn."""
        self.leave(call)
        message = f"No worker was free within {self._timeout_ms / 1000:g} s. Try again later."
        return self._refuse(call, 503, message, [("Retry-After", str(RETRY_AFTER_SECONDS))])

    def finish(self, call: Call, output: Any) -> bytes | Stream:
        """Make the answer to a call whose run() returned `output`; the worker sends a `Stream` in parts."""
        try:
            if script_response.is_response(output):
                return self._http_response(call, output)
            elapsed = self._end(call)
            body = to_json(output)
        except AnswerError as error:
            self._end(call)
            self.row.add("run_failures")
            logger.error("%s", error)
            return self._answer(call, 500, error_body(client_contract.SCRIPT_FAILED), failed=True)
        except Exception:
            self._end(call)
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(client_contract.INTERNAL_ERROR), failed=False)
        return self._answer(call, 200, body, [_took(elapsed)], failed=False)

    def send_part(self, call: Call, stream: Stream, part: bytes | None) -> bytes:
        """Make the bytes of an answer's part, or of its end (None); the first bytes hold the head too."""
        framed = stream.frame(part)
        if stream.is_open:
            return framed
        stream.is_open = True
        call.keep_alive = call.keep_alive and stream.is_chunked
        return self._answer(call, stream.status, part or b"", stream.headers, stream=stream) + framed

    def break_off(self, call: Call, stream: Stream, error: BaseException) -> bytes:
        """Make the answer where the script fails before the first part.

        Raises:
            StreamBroken: the client has parts already.
        """
        if not stream.is_open:
            return self.fail(call, error)
        if call.trace is not None:
            call.trace.fail(error)
        is_late = isinstance(error, ScoringTimeout)
        self.row.add("run_timeouts" if is_late else "run_failures")
        reason = (
            f"no part came within SCORING_TIMEOUT_MS, {self._timeout_ms} ms"
            if is_late
            else "".join(traceback.format_exception(type(error), error, error.__traceback__))
        )
        logger.error("The answer was broken off after %s parts: %s", call.parts, reason)
        raise StreamBroken from None

    def end_stream(self, call: Call) -> None:
        """Note that no part follows, for whatever reason."""
        self._end(call)

    def fail(self, call: Call, error: BaseException) -> bytes:
        """Make the answer to a call whose run() raised `error`."""
        if call.trace is not None:
            call.trace.fail(error)
        self._end(call)
        try:
            return self._fail(call, error)
        except Exception:  # the script's exceptions may fail themselves, when they are asked for their message
            self.row.add("run_failures")
            logger.error("Encountered Exception: %s", traceback.format_exc())
            return self._answer(call, 500, error_body(client_contract.SCRIPT_FAILED), failed=True)

    def _fail(self, call: Call, error: BaseException) -> bytes:
        if isinstance(error, ScoringTimeout):
            self.row.add("run_timeouts")
            logger.error("run() was stopped after SCORING_TIMEOUT_MS, %s ms", self._timeout_ms)
            return self._answer(call, 500, error_body(f"Scoring timeout after {self._timeout_ms} ms"), failed=True)
        if isinstance(error, RecursionError) and inputs.is_too_deep(call.request):
            self.row.add("run_rejections")
            logger.warning("run() could not follow its input: %s", error)
            return self._answer(call, 400, error_body(inputs.TOO_DEEP), failed=False)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        if _rejects_input(error):
            reason = " ".join(str(error).split())[:REJECTION_LIMIT]
            self.row.add("run_rejections")
            logger.warning("run() rejected its input: %s", text)
            return self._answer(call, 400, error_body(f"The scoring script rejected the input: {reason}"), failed=False)
        self.row.add("run_failures")
        logger.error("Encountered Exception: %s", text)
        return self._answer(call, 500, error_body(client_contract.SCRIPT_FAILED), failed=True)

    def leave(self, call: Call) -> None:
        """Stop counting a call as in flight. `finish` and `fail` do so too; a second time changes nothing."""
        call.keep_alive = call.keep_alive and self.keeps_connections
        if call.is_counted:
            call.is_counted = False
            self.row.add("in_flight", -1)

    def protocol_error(self, error: http1.ProtocolError) -> bytes:
        """Make the answer to bytes that are no request; the connection ends with it."""
        self.row.count_status(error.status)
        return http1.response(error.status, error_body(error.message), keep_alive=False)

    def _end(self, call: Call) -> float:
        """Count, once, that a call has left the script; give the seconds that the script took."""
        if call.has_ended:
            return call.run_seconds
        call.has_ended = True
        call.run_seconds = time.perf_counter() - call.started - call.away_seconds
        self.leave(call)
        self.row.observe("run", call.run_seconds)
        if call.triton_seconds:
            self.row.observe("triton", call.triton_seconds)
        if call.trace is not None:
            call.trace.end_run()
        return call.run_seconds

    def _other(self, call: Call, path: str) -> bytes:
        request = call.request
        if path in PATHS:
            return self._operations.answer(request, call.keep_alive)
        if path != "/swagger.json":
            return self._plain(call, 404, error_body(client_contract.NOT_FOUND))
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return self._plain(call, 405, error_body(client_contract.METHOD_NOT_ALLOWED))
        try:
            call.ids = Ids(request.headers)
        except IdError as error:
            call.ids = error.ids
            return self._refuse(call, error.status, error.message)
        if request.method == "OPTIONS":
            return self._answer(call, 200, b"", [client_contract.ALLOW], content_type=client_contract.TEXT)
        # The first of several counts.
        version = dict(reversed(parse_qsl(request.query, keep_blank_values=True))).get("version", "2")
        try:
            return self._answer(call, 200, self._swagger.document(version), failed=False)
        except SwaggerError as error:
            return self._refuse(call, error.status, error.message)

    def _plain(self, call: Call, status: int, body: bytes) -> bytes:
        self.row.count_status(status)
        is_head = call.request.method == "HEAD"
        return http1.response(status, body, client_contract.NOT_FAILED, keep_alive=call.keep_alive, is_head=is_head)

    def _refuse(self, call: Call, status: int, message: str, headers: client_contract.Headers | None = None) -> bytes:
        return self._answer(call, status, error_body(message), headers, failed=False, log=status != 431)

    def _answer(
        self,
        call: Call,
        status: int,
        body: bytes,
        headers: client_contract.Headers | None = None,
        *,
        content_type: str | None = "application/json",
        failed: bool | None = None,
        log: bool = True,
        stream: Stream | None = None,
    ) -> bytes:
        """Make an answer, and note it in metrics, log and sample; for a `stream` its head, `body` is the first part."""
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
        if call.trace is not None:
            call.trace.answer(status)
        if self._sampler is not None and call.started and call.ids is not None and _is_recorded(request):
            content = request.body if request.method != "GET" else request.query.encode()
            check = CHECK_HEADER in request.headers
            self._sampler.offer(
                call.ids.request,
                call.ids.client,
                status,
                seconds,
                content,
                body,
                check=check,
                method=request.method,
                content_type=request.headers.get("content-type", ""),
            )
        if log:
            self.row.observe("request", seconds)
            target = request.target.decode("latin-1")
            length = len(body) if stream is None else "N/A"
            self._access.write(request.method, target, status, seconds, length)
        if stream is not None:
            framing = http1.CHUNKED if stream.is_chunked and status not in http1.NO_BODY else b""
            return http1.head(
                status, all_headers, content_type=stream.content_type, keep_alive=call.keep_alive, framing=framing
            )
        return http1.response(
            status,
            body,
            all_headers,
            content_type=content_type,
            keep_alive=call.keep_alive,
            is_head=request.method == "HEAD",
        )

    def _http_response(self, call: Call, output: Any) -> bytes | Stream:
        assert call.ids is not None
        status, content_type, headers = script_response.parts_of(output)
        if status >= 500:
            headers = script_response.without(headers, {"x-ms-run-function-failed"})
            headers.append(("x-ms-run-function-failed", "True"))
        echoed = {name.lower() for name, _ in echo(call.ids, call.request, self._server_version)}
        headers = script_response.without(headers, echoed)
        if output.is_streamed:
            headers.append(_took(time.perf_counter() - call.started))
            return Stream(output, call.request, status, content_type, headers)
        headers.append(_took(self._end(call)))
        body = output.get_data()
        output.close()
        return self._answer(call, status, body, headers, content_type=content_type)


def _is_recorded(request: http1.Request) -> bool:
    """Tell whether data collection may have a request: of what clients send through the front door, everything."""
    if _MIRRORED in request.headers:  # a copy, of what the serving generation answers
        return False
    return request.headers.get(CHECK_HEADER) != UNRECORDED or _FORWARDED in request.headers


def _took(seconds: float) -> tuple[str, str]:
    return "x-ms-run-fn-exec-ms", f"{seconds * 1000:.3f}"


def _rejects_input(error: BaseException) -> bool:
    """Tell whether an exception says that the input is wrong: a ValueError, or an error of `@input_schema`'s types."""
    functions = []
    frame = error.__traceback__
    while frame is not None:
        functions.append((str(frame.tb_frame.f_globals.get("__name__", "")), frame.tb_frame.f_code.co_name))
        frame = frame.tb_next
    if isinstance(error, ValueError):
        return not any(module.startswith(_NO_INPUT) for module, _ in functions)
    return isinstance(error, _OF_A_SCHEMA) and _READS_INPUT in functions
