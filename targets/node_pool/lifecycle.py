"""A pod's times: how long it may take to start and to stop, and what is asked of it in between.

A pod that ends goes through these, in this order; the grace period holds them all:

    preStop     it serves on, while the last caches of the cluster's DNS forget its address
    drain       its server finishes the requests that it has
    Triton      exits, after its own timeout at the latest (with clients still connected it takes the whole of it)
    recorder    writes what it has
    margin      for the kernel and the kubelet; without it the race between two equal timeouts ends in SIGKILL
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

from environment.image_layout import PROBE_SCORER, PROBE_TRITON, SCORER_PORT, TRITON_HTTP_PORT
from serving.command import PROBE
from targets.commands import RECORDER_STOP_SECONDS
from targets.node_pool.rendering import Options

__all__ = ["Times", "scorer_probes", "triton_probes"]

# How often Envoy looks up the replicas' addresses (`gateway.clusters`).
_REFRESH_SECONDS = 5
_MARGIN_SECONDS = 10
_PROBE_PERIOD = 5
_PROBE_SECONDS = 60


@dataclass(frozen=True)
class Times:
    """The budgets of a replica's life, in seconds."""

    startup: int
    provision: int
    pre_stop: int
    drain: int
    triton_exit: int
    grace: int
    scoring: float

    @classmethod
    def of(cls, options: Options) -> "Times":
        """Compute the budgets from a stack's settings and its preset."""
        provision = options.pool.provision_seconds or options.preset.provision_seconds
        pre_stop = options.pool.dns_ttl_seconds + 2 * _REFRESH_SECONDS
        drain = options.rollout.graceful_seconds
        scorer_drain = drain if options.scorer else 0
        triton_exit = drain if options.triton else 0
        recorder = RECORDER_STOP_SECONDS if options.recorded_megabytes is not None else 0
        return cls(
            startup=options.rollout.deadline_seconds,
            provision=provision,
            pre_stop=pre_stop,
            drain=drain,
            triton_exit=triton_exit,
            grace=pre_stop + scorer_drain + triton_exit + recorder + _MARGIN_SECONDS,
            scoring=options.limits.scoring_seconds,
        )

    @property
    def progress(self) -> int:
        """For one replica to become ready, from nothing: a node, the image, the models."""
        return self.provision + self.startup

    @property
    def pre_stop_hook(self) -> dict[str, Any]:
        """Sleep. As a command: the hook's own `sleep` is off by default in Kubernetes 1.29."""
        return {"preStop": {"exec": {"command": ["sleep", str(self.pre_stop)]}}}


def triton_probes(times: Times) -> dict[str, Any]:
    """Triton's probes: the gate (model versions loaded, golden inference right) and, for liveness, its server."""
    return {
        **_gate(PROBE_TRITON, times),
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": TRITON_HTTP_PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
    }


def scorer_probes(times: Times) -> dict[str, Any]:
    """Give the scorer's probes: the gate (init() has run in its workers) and, for liveness, its port.

    Workers that are all busy answer late and are no reason to kill them: its server restarts one that hangs.
    """
    return {
        **_gate(PROBE_SCORER, times),
        "livenessProbe": {
            "tcpSocket": {"port": SCORER_PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def _gate(file: str, times: Times) -> dict[str, Any]:
    command = ["python", *PROBE, file, "--mark-final"]  # `diagnosis` reads the marks from the events
    # A golden answer has the time that the front door gives to a request.
    timeout = ["--timeout", f"{times.scoring:g}"] if times.scoring < _PROBE_SECONDS else []
    return {
        "startupProbe": {
            "exec": {"command": [*command, *timeout]},
            "periodSeconds": _PROBE_PERIOD,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": ceil(times.startup / _PROBE_PERIOD),
        },
        # A golden inference queues behind the clients' own: late is not wrong, so it gets time.
        "readinessProbe": {
            "exec": {"command": command},
            "periodSeconds": 15,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 2,
        },
    }
