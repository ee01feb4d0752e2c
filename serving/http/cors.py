"""Cross-origin requests (CORS): which web pages may call the service, by AML_CORS_ORIGINS."""

from __future__ import annotations

from serving.http.contract import Headers
from serving.http.http1 import Request

METHODS = ("GET", "POST")


def headers(request: Request, origins: tuple[str, ...]) -> Headers:
    """The headers that let the page which sent the request read the answer; none where it may not.

    `origins` are compared without case, `*` is any.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return []
    if "*" not in origins and origin.lower() not in (allowed.lower() for allowed in origins):
        return []
    found = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
    if request.method == "OPTIONS" and request.headers.get("access-control-request-method", "").upper() in METHODS:
        found.append(("Access-Control-Allow-Methods", ", ".join(METHODS)))
        asked = request.headers.get("access-control-request-headers")
        if asked:
            found.append(("Access-Control-Allow-Headers", ", ".join(sorted(name.strip() for name in asked.split(",")))))
    return found
