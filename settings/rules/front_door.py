"""Rules over what becomes Envoy's configuration: numbers and ports that it takes, pages that may call."""

from collections.abc import Iterator

from gateway.cors_filter import VARIABLE, check_origin, origins
from gateway.front_door_options import MAX_REQUEST_BYTES, MAX_REQUESTS_PER_SECOND, MAX_SECONDS, memory_for
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Deployment, Settings, Target

__all__ = ["front_door_rules"]

_MEBIBYTE = 2**20


@rule
def front_door_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the settings that Envoy could not start with."""
    deployment, pool = settings.deployment, settings.node_pool.front_door
    highest: tuple[tuple[str, int | None, int], ...] = (
        ("scoringTimeoutMs", deployment.scoring_timeout_ms, MAX_SECONDS * 1000),
        ("maxRequestMegabytes", deployment.max_request_megabytes, MAX_REQUEST_BYTES // _MEBIBYTE),
        ("maxRequestsPerSecond", deployment.max_requests_per_second, MAX_REQUESTS_PER_SECOND),
        ("rollout.drainSeconds", deployment.rollout.drain_seconds, MAX_SECONDS),
    )
    for name, value, most in highest:
        if value is not None and value > most:
            yield Mistake(
                path=f"deployment.{name}",
                value=str(value),
                expected=f"expected at most {most}, the most that the front door takes",
            )
    for origin in origins(settings.environment.variables.get(VARIABLE, "")):
        try:
            check_origin(origin)
        except ValueError as error:
            yield Mistake(path=f"environment.variables.{VARIABLE}", expected=str(error))
    yield from _metrics_have_a_port(deployment)
    if deployment.target is Target.NODE_POOL:
        least = memory_for(deployment.max_request_megabytes) // _MEBIBYTE
        if pool.memory_mb < least:
            yield Mistake(
                path="nodePool.frontDoor.memoryMb",
                value=str(pool.memory_mb),
                expected=f"expected at least {least}: the front door holds requests as a whole, of up to "
                f"deployment.maxRequestMegabytes {deployment.max_request_megabytes} each",
            )


@rule
def _metrics_have_a_port(deployment: Deployment) -> Iterator[Mistake]:
    port = deployment.metrics_port
    if port is None:
        return
    if deployment.target is Target.NODE_POOL:
        expected = (
            "is for the targets 'process' and 'docker': on 'node-pool' each pod has its metrics at a port of its own, "
            "and nodePool.monitoring leads Prometheus there; remove it"
        )
    elif port == deployment.port:
        expected = "expected another port than deployment.port, where clients come in"
    else:
        return
    yield Mistake(path="deployment.metricsPort", value=str(port), expected=expected)
