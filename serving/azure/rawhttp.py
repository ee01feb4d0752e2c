"""`@rawhttp`, `AMLRequest` and `AMLResponse`, for scripts that speak HTTP themselves.

Scripts import them by Azure's module names, see `module_names`:

    from azureml.contrib.services.aml_request import AMLRequest, rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    @rawhttp
    def run(request):
        if request.method != "POST":
            return AMLResponse("send an image", 405, {"Allow": "POST"})
        return AMLResponse({"label": classify(request.get_data())}, 200, json_str=True)
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
    """Mark a run() that takes the HTTP request, an `AMLRequest`, in place of its body.

    Example:
        A script that takes an image as it comes::

            @rawhttp
            def run(request):
                return classify(request.get_data())
    """
    global requested
    requested = True
    return run


class AMLRequest(WerkzeugRequest):
    """The HTTP request that a run() with `@rawhttp` gets; a request of Werkzeug's.

    It has `method`, `headers`, `args`, `form`, `files`, `get_data()`, `get_json()` and so on.

    Example:
        Two files of a form, and a parameter of the URL::

            left, right = request.files["left"].read(), request.files["right"].read()
            threshold = request.args.get("threshold", default=0.5, type=float)
    """

    @classmethod
    def of(cls, request: Request) -> AMLRequest:
        """Make it from the request that the server received."""
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
            # The scheme that the client used with the front door.
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
    """An HTTP response that run() makes itself; a response of Werkzeug's.

    Example:
        A refusal with a header, JSON, and an answer in parts::

            return AMLResponse("too dark", 422, {"Retry-After": "1"})
            return AMLResponse({"label": 7}, 200, json_str=True)
            return AMLResponse((render(row) for row in rows), 200, {"Content-Type": "text/csv"})
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        """Make a response.

        Args:
            message: the body: text, bytes, or a generator of either, whose parts the server sends as they come; with
                `json_str` a value that becomes JSON. None is an empty JSON object.
            status_code: a status from 200 to 599.
            response_headers: more headers; a comma separates the values of a header that is repeated.
            json_str: write `message` as JSON.
            run_function_failed: the value of the header `x-ms-run-function-failed`.

        Raises:
            TypeError: `status_code` is None or a boolean.
        """
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
