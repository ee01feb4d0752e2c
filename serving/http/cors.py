"""Cross-origin requests (CORS): AML_CORS_ORIGINS says which web pages may call the service."""

from __future__ import annotations

from serving.http.client_contract import Headers
from serving.http.http1 import Request

METHODS = ("GET", "POST")


def headers(request: Request, origins: tuple[str, ...]) -> Headers:
    """Make the headers that let a web page read the answer to its request.

    Args:
        request: the request, whose header `Origin` names the page.
        origins: the pages that may read answers, in any case; `*` means all.

    Returns:
        The headers; none for a page that may not read the answer.
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
