"""A rate limit service of the user's own, which the front doors ask: `deployment.rateLimitService`."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveInt

from settings.group import Group

__all__ = ["RateLimitService"]


def _parts(address: str) -> tuple[str, int]:
    url = urlsplit(f"//{address}")
    if not url.hostname or not url.port or url.netloc != address or url.username is not None:
        raise ValueError("host and port")
    return url.hostname, url.port


def _address(value: str) -> str:
    try:
        _parts(value)
    except ValueError:
        raise ValueError("a host and a port, as in 'ratelimit.example.org:8081'") from None
    return value


class RateLimitService(Group):
    """A gRPC server of Envoy's `RateLimitService`, such as envoyproxy/ratelimit."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        description="its host and port, as in 'ratelimit.example.org:8081'; without TLS"
    )
    domain: str = Field(default="triton", min_length=1, description="the domain of its configuration")
    timeout_ms: PositiveInt = Field(
        default=50, le=1000, description="how long a request waits for its answer, and then passes without"
    )

    @property
    def host(self) -> str:
        """The host of the address."""
        return _parts(self.address)[0]

    @property
    def port(self) -> int:
        """The port of the address."""
        return _parts(self.address)[1]
