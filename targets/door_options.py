"""The gateway's options as a stack's settings decide them, the same for every target."""

from collections.abc import Sequence
from typing import Any

from gateway.clients import Client
from gateway.front_door_options import Options
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
        doors: How many Envoys share the clients: each counts requests for itself.
        place: The options that depend on where Envoy runs.
    """
    rate = opening.max_requests_per_second
    return Options(
        **place,
        auth_enabled=opening.auth_enabled,
        access_log=opening.access_log,
        recorded=opening.record_requests.sample if opening.record_requests else 0.0,
        timeout_seconds=limits.scoring_seconds,
        max_request_bytes=limits.max_request_bytes,
        requests_per_second=_part(rate, doors),
        clients=tuple(
            client.model_copy(
                update={
                    "requests_per_second": _part(client.requests_per_second, doors),
                    "max_concurrent": _part(client.max_concurrent, doors),
                }
            )
            for client in clients
        ),
    )


def _part(limit: int | None, doors: int) -> int | None:
    """Give a door its part of a limit, at least one."""
    return None if limit is None else -(-limit // doors)
