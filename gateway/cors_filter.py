"""Cross-origin requests: which web pages may call the service, by the entry script server's AML_CORS_ORIGINS.

The front door answers preflights itself, which carry no key, and gives its own refusals the headers without which a
page cannot read them. A server's own headers of this kind give way to these.
"""

from __future__ import annotations

import re
from typing import Any

VARIABLE = "AML_CORS_ORIGINS"
CORS = "envoy.filters.http.cors"
_CORS = "type.googleapis.com/envoy.extensions.filters.http.cors.v3"
_ORIGIN = re.compile(
    r"\*|null|[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._~-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?"
)


def origins(text: str) -> tuple[str, ...]:
    """The origins in the value of `VARIABLE`."""
    return tuple(origin.strip() for origin in text.split(",") if origin.strip())


def check_origin(origin: str) -> str:
    """The origin itself, if a browser could send it, or `*`.

    Raises:
        ValueError: It could not.
    """
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            f"{origin!r} is no origin; write it as browsers send it, scheme and host and no path, such as "
            "'https://www.example.com', or '*' for all"
        )
    return origin


def cors() -> dict[str, Any]:
    """The HTTP filter, which stands before the keys."""
    return {"name": CORS, "typed_config": {"@type": f"{_CORS}.Cors"}}


def policy(allowed: tuple[str, ...]) -> dict[str, Any]:
    """The policy of a virtual host: these origins, compared without case."""
    return {
        "@type": f"{_CORS}.CorsPolicy",
        "allow_origin_string_match": [_match(origin) for origin in allowed],
        "allow_methods": "GET, POST",
        "allow_headers": "*, Authorization",  # browsers let the asterisk stand for all headers but this one
        "expose_headers": "*",
        "max_age": "600",
    }


def preflights(allowed: tuple[str, ...], cluster: str) -> list[dict[str, Any]]:
    """Routes that preflights of these origins take, of any path. The filter answers them, and none gets to `cluster`.

    It applies its policy only where a request has a route to somewhere.
    """
    asked = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "access-control-request-method", "string_match": {"safe_regex": {"regex": ".+"}}},
    ]
    return [
        {
            "name": "preflight",
            "match": {"prefix": "/", "headers": [*asked, {"name": "origin", "string_match": _match(origin)}]},
            "route": {"cluster": cluster},
        }
        for origin in allowed
    ]


def _match(origin: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": ".+"}} if origin == "*" else {"exact": origin, "ignore_case": True}
