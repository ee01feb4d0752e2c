"""Clients with a name of their own: how each proves who it is, what it may ask for, and how much.

    request ─► identities.py: who is it? ─► grants.py: may it? ─► client_limits.py: too much? ─► the servers
               401                          403                   429                            x-client-name

Whoever sends the service's primary or secondary key is the client `DEFAULT`, which may do everything.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt

from common.part import Part

DEFAULT = "default"
NONE = "-"
"""The name in place of a client's where the front door knows nobody; no client can have it."""
SCHEMES = ("Bearer", "bearer", "BEARER")
"""The spellings before a key or a token. Any other spelling is taken of the service's own two keys alone."""
NAME_HEADER = "x-client-name"
"""The header that tells servers the client's name. The front door sets it; a client's own is dropped."""


NAME_METADATA = ("envoy.filters.http.rbac", "enforced_effective_policy_id")
"""Where the filter of `identities` leaves the client's name: the namespace and the key of Envoy's metadata."""
NAME = f"%DYNAMIC_METADATA({':'.join(NAME_METADATA)})%"
"""The client's name, as Envoy's formatter writes it."""
NAME_SPELLINGS = (NAME_HEADER, "x_client_name", "x-client_name", "x_client-name")
"""The headers that some server takes for that one (WSGI): no client may send any of them."""


class Jwt(Part):
    """A client that sends tokens of an issuer.

    Attributes:
        issuer: The token's `iss`.
        audience: One of the token's `aud`.
        jwks_uri: Where the issuer publishes its keys.
        claims: Further claims: a text, a list that has the text, or words between blanks.
        ca: The certificates (PEM) that vouch for the server of `jwks_uri`; by default Envoy's machine has them.
    """

    issuer: str
    audience: str
    jwks_uri: str
    claims: dict[str, str] = {}
    ca: str = ""


class Certificate(Part):
    """A client that shows a certificate.

    Attributes:
        ca: The certificates (PEM) that vouch for it.
        subject: Its subject, as RFC 2253 writes it: `CN=edge,O=Example`.
        with_key: Whether the client must send a key of its own too.
    """

    ca: str
    subject: str
    with_key: bool = False


class Client(Part):
    """One client. Without `jwt` and `certificate` it sends a key of its own.

    Attributes:
        name: As the servers get it.
        models: The models that it may infer with and see; None: all, and `/score`.
        score: Whether a client with `models` may call `/score`, whose script may ask any model.
        requests_per_second: Inference requests that one Envoy lets through.
        max_concurrent: Inference requests of it that one Envoy works on at once; a stream is one.
    """

    name: str
    models: tuple[str, ...] | None = None
    score: bool = False
    requests_per_second: PositiveInt | None = None
    max_concurrent: PositiveInt | None = None
    jwt: Jwt | None = Field(default=None)
    certificate: Certificate | None = None

    @property
    def has_keys(self) -> bool:
        """Tell whether the client proves itself by keys, alone or beside a certificate."""
        return self.jwt is None and (self.certificate is None or self.certificate.with_key)

    @property
    def limited(self) -> bool:
        """Tell whether the client has a limit of its own."""
        return self.requests_per_second is not None or self.max_concurrent is not None


def header_input(name: str) -> dict[str, Any]:
    """Make the input of an xDS matcher that reads a request's header."""
    kind = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    return {"name": name, "typed_config": {"@type": kind, "header_name": name}}
