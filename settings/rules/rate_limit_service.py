"""Rules over the rate limit service: the front doors reach it, and have something to ask it."""

from collections.abc import Iterator

from common.loopback import is_loopback
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings, Target

__all__ = ["rate_limit_service_rules"]

_PATH = "deployment.rateLimitService"


@rule
def rate_limit_service_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield what keeps the rate limit service from counting."""
    service = settings.deployment.rate_limit_service
    if service is None:
        return
    if settings.deployment.target is not Target.PROCESS and is_loopback(service.host):
        yield Mistake(
            path=f"{_PATH}.address",
            value=repr(service.address),
            expected=f"expected the service's address on the network: in a container {service.host} is the container "
            "itself",
        )
    if not any(client.requests_per_second for client in settings.clients):
        yield Mistake(
            path=_PATH,
            expected="does nothing: it counts the requests of clients with requestsPerSecond, and there is none; give "
            "a client the limit, or remove the service",
        )
