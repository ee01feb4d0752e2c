"""`@rawhttp`, `AMLRequest` and `AMLResponse`, for scripts that speak HTTP themselves.

Scripts import them by Azure's module names, which `install` answers for:

    from azureml.contrib.services.aml_request import AMLRequest, rawhttp
    from azureml.contrib.services.aml_response import AMLResponse
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, TypeVar

from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from serving.http.http1 import Request

Run = TypeVar("Run", bound=Callable[..., Any])

requested = False


def rawhttp(run: Run) -> Run:
    """Decorates a run() that wants the HTTP request as it is."""
    global requested
    requested = True
    return run


class AMLRequest(WerkzeugRequest):
    """The HTTP request: `method`, `headers`, `args`, `form`, `files`, `get_data()`, `get_json()` and so on."""

    @classmethod
    def of(cls, request: Request) -> AMLRequest:
        """The request that the server received."""
        host, _, port = request.headers.get("host", "localhost").rpartition(":")
        environ = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            # WSGI has paths as bytes decoded by Latin-1.
            "PATH_INFO": request.path.encode().decode("latin-1"),
            "QUERY_STRING": request.query,
            "REQUEST_URI": request.target.decode("latin-1"),
            "RAW_URI": request.target.decode("latin-1"),
            "SERVER_NAME": host or port,
            "SERVER_PORT": port if host and port.isdigit() else "80",
            "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
            "wsgi.version": (1, 0),
            # What the front door was spoken to in.
            "wsgi.url_scheme": "https" if request.headers.get("x-forwarded-proto") == "https" else "http",
            "wsgi.input": BytesIO(request.body),
            "wsgi.input_terminated": True,  # a body in chunks has no length
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers.items():
            key = name.upper().replace("-", "_")
            if name in ("content-type", "content-length"):
                environ[key] = value
            elif name != "transfer-encoding":
                environ[f"HTTP_{key}"] = value
        return cls(environ)


class AMLResponse(WerkzeugResponse):
    """An HTTP response that run() makes itself.

    `message` is the body: as JSON with `json_str`, otherwise text, bytes, or a generator of either, whose parts are
    sent as they come; None is an empty JSON object.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        headers = response_headers or {}
        if status_code is None or isinstance(status_code, bool):  # Werkzeug would take them for 200 and 1
            raise TypeError(f"status_code: expected a status from 200 to 599, received {status_code!r}")
        if message is None or json_str:
            body = json.dumps({} if message is None else message)
            super().__init__(body, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code, mimetype="text/html")
        if any(name.lower() == "content-type" for name in headers):
            self.headers.remove("Content-Type")
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in headers.items():
            # A comma separates the values of a header that is repeated.
            for part in value.split(","):
                self.headers.add(name, part.strip())
