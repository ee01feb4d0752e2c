"""The gateway's options as a stack's settings decide them, the same for every target."""

from collections.abc import Sequence
from typing import Any

from gateway.clients import Client
from gateway.front_door_options import Options
from gateway.rate_limit_service import RateLimitService
from settings.service_groups import Limits, Opening

__all__ = ["door_options"]


def door_options(
    limits: Limits, opening: Opening, *, clients: Sequence[Client] = (), doors: int = 1, **place: Any
) -> Options:
    """Give the options of one Envoy.

    Args:
        limits: What one request may take.
        opening: How the front door opens.
        clients: The clients with a name of their own.
        doors: How many Envoys share the clients: each counts requests for itself, and takes its part of a limit. Where
            a rate limit service counts over all, the whole of it: balancers may lead a client to one door alone.
        place: The options that depend on where Envoy runs.
    """
    rate, service = opening.max_requests_per_second, opening.rate_limit_service
    return Options(
        **place,
        auth_enabled=opening.auth_enabled,
        access_log=opening.access_log,
        recorded=opening.record_requests.sample if opening.record_requests else 0.0,
        timeout_seconds=limits.scoring_seconds,
        max_request_bytes=limits.max_request_bytes,
        requests_per_second=_part(rate, doors),
        rate_limit_service=None
        if service is None
        else RateLimitService(
            host=service.host, port=service.port, domain=service.domain, timeout_ms=service.timeout_ms
        ),
        clients=tuple(
            client.model_copy(
                update={
                    "requests_per_second": _part(client.requests_per_second, doors if service is None else 1),
                    "max_concurrent": _part(client.max_concurrent, doors),
                }
            )
            for client in clients
        ),
    )


def _part(limit: int | None, doors: int) -> int | None:
    """Give a door its part of a limit, at least one."""
    return None if limit is None else -(-limit // doors)
