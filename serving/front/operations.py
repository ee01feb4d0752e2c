"""The answers for operators: `/` says that the server is alive, `/ready` that it is ready, `/metrics` its numbers."""

from __future__ import annotations

from typing import Any

from serving.front import metrics
from serving.front.scoreboard import Row, Scoreboard
from serving.http import client_contract, cors, http1
from serving.http.client_contract import IdError, Ids, echo, error_body
from serving.http.http1 import Request
from serving.probing import probe
from serving.settings import Settings

PATHS = frozenset({"/", "/ready", "/metrics"})


class Operations:
    """Answers the requests for `PATHS`, in the front process and in the workers alike."""

    def __init__(self, settings: Settings, scoreboard: Scoreboard, row: Row) -> None:
        self._scoreboard = scoreboard
        self._row = row
        self._cors_origins = settings.cors_origins
        self._server_version = http1.SERVER_NAME if settings.send_server_version else ""
        self._triton = triton_spec(settings) if settings.triton_models else None

    def answer(self, request: Request, keep_alive: bool) -> bytes:
        """Make the bytes of the answer. For `/ready` it asks Triton, which takes a moment."""
        path = request.path
        headers: client_contract.Headers = []
        content_type = client_contract.JSON
        if request.method not in ("GET", "HEAD", *(("OPTIONS",) if path == "/" else ())):
            status, body = 405, error_body(client_contract.METHOD_NOT_ALLOWED)
            headers += client_contract.NOT_FAILED
        elif path == "/metrics":
            status, body, content_type = 200, metrics.render(self._scoreboard), metrics.CONTENT_TYPE
        elif path == "/ready":
            problems = self.problems()
            status, body = (503, error_body("; ".join(problems))) if problems else (200, error_body("Ready"))
        else:
            try:
                headers = echo(Ids(request.headers), request, self._server_version)
                status, body, content_type = 200, b"Healthy", client_contract.TEXT
                if request.method == "OPTIONS":
                    body, headers = b"", [client_contract.ALLOW, *headers]
            except IdError as error:
                headers = client_contract.NOT_FAILED + echo(error.ids, request, self._server_version)
                status, body = error.status, error_body(error.message)
            headers += cors.headers(request, self._cors_origins)
        self._row.count_status(status)
        is_head = request.method == "HEAD"
        return http1.response(status, body, headers, content_type=content_type, keep_alive=keep_alive, is_head=is_head)

    def problems(self) -> list[str]:
        """Say why the server is not ready: no worker has loaded the script, or a model that it needs is missing."""
        if not self._scoreboard.opened:
            return ["the workers are starting"]
        if not any(row.get("ready") for row in self._scoreboard.rows()):
            return ["no worker is ready"]
        return probe.run(self._triton) if self._triton else []


def triton_spec(settings: Settings) -> dict[str, Any] | None:
    """Write the questions of `probe` to the script's Triton; None where the settings name no Triton."""
    if not settings.triton_url:
        return None
    models = [{"name": name, "version": version} for name, version in settings.triton_models]
    return {"triton": {"url": settings.triton_url, "models": models}}
