"""The gateway's options as a stack's settings decide them, the same for every target."""

from typing import Any

from gateway.front_door_options import Options
from settings.service_groups import Limits, Opening

__all__ = ["door_options"]


def door_options(limits: Limits, opening: Opening, *, doors: int = 1, **place: Any) -> Options:
    """Give the options of one Envoy.

    Args:
        limits: What one request may take.
        opening: How the front door opens.
        doors: How many Envoys share the clients: each counts requests for itself.
        place: The options that depend on where Envoy runs.
    """
    rate = opening.max_requests_per_second
    return Options(
        **place,
        auth_enabled=opening.auth_enabled,
        access_log=opening.access_log,
        timeout_seconds=limits.scoring_seconds,
        max_request_bytes=limits.max_request_bytes,
        requests_per_second=None if rate is None else -(-rate // doors),
    )
