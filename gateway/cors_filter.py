"""Cross-origin requests: which web pages may call the service, by the scorer's variable AML_CORS_ORIGINS.

A preflight carries no key, so the front door answers it itself. It also adds the headers to its own refusals without
which a page cannot read them. These headers replace those of the servers behind it.
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
    """Split the value of `VARIABLE` into origins."""
    return tuple(origin.strip() for origin in text.split(",") if origin.strip())


def check_origin(origin: str) -> str:
    """Return the origin if a browser could send it, or if it is `*`.

    Raises:
        ValueError: No browser could send it.
    """
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            f"{origin!r} is no origin; write it as browsers send it, scheme and host and no path, such as "
            "'https://www.example.com', or '*' for all"
        )
    return origin


def cors() -> dict[str, Any]:
    """Make the HTTP filter. It stands before the filter of the keys."""
    return {"name": CORS, "typed_config": {"@type": f"{_CORS}.Cors"}}


def policy(allowed: tuple[str, ...]) -> dict[str, Any]:
    """Make the policy of a virtual host: it allows these origins, in any case of letters."""
    return {
        "@type": f"{_CORS}.CorsPolicy",
        "allow_origin_string_match": [_match(origin) for origin in allowed],
        "allow_methods": "GET, POST",
        "allow_headers": "*, Authorization",  # to a browser the asterisk means every header but this one
        "expose_headers": "*",
        "max_age": "600",
    }


def preflights(allowed: tuple[str, ...], cluster: str) -> list[dict[str, Any]]:
    """Make the routes of preflights from these origins, for any path.

    The filter answers them itself, so none reaches `cluster`. But it acts only on a request that has a route.
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
