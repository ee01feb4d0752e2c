"""Triton's and the scorer's command lines and environment variables: computed here, rendered by each target.

    commands ──► process/programs.py                  a launch file: at ports of the generation's own, on loopback
             ──► docker/containers.py                 `Entrypoint`, `Cmd` and `Env` of a container
             ──► node_pool/objects/pod_containers.py  `command`, `args` and `env` of a pod's container

In an image, `environment.script_variables` and the curated environment's variables are part of the image. Later ones
win: the curated environment's, those computed here, the user's, and at last those without which a place does not work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from environment.image_layout import RECORDER_PORT, SCORER_PORT, TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
from gateway.otel_variables import SERVICE_NAME, Traces, traces_of
from serving.command import KEEPER, RECORDER, RELOADABLE, SERVER
from settings.service_groups import Limits, RolloutPlan

__all__ = [
    "EXIT_TIMEOUT_SECONDS",
    "RECORDER_MEMORY_MB",
    "RECORDER_STOP_SECONDS",
    "Listening",
    "Service",
    "in_container",
    "keeper_command",
    "recorder_command",
    "recorder_variables",
    "scorer_command",
    "scorer_variables",
    "stop_seconds",
    "triton_command",
    "triton_variables",
]

# Where the gateway has drained a Triton, it waits this long for requests under way when it is told to stop.
EXIT_TIMEOUT_SECONDS = 20
# Whoever stops a program waits this much longer than the program itself: otherwise a race would end in SIGKILL.
_STOP_MARGIN_SECONDS = 10
# A Triton that stops waits so long for a collector that hangs.
_SPANS_TIMEOUT, _SPANS_SECONDS = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 5
_NAME = "service.name"
_RARELY = 2**31 - 1
RECORDER_MEMORY_MB = 256
"""The most that a recorder may use: its queue, a file that it makes, and Python."""
RECORDER_STOP_SECONDS = 15
"""It writes what it has when it is told to stop, for 10 s at most."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What Triton and the scorer are told of the service that they are part of.

    Attributes:
        name: The service's name.
        threads: How many threads may compute at once: one for each core of the service, or of the program's part of it.
        limits: What one request may take.
        rollout: How long requests under way may take when the program is told to stop.
        variables: The user's environment variables.
    """

    name: str
    threads: int
    limits: Limits
    rollout: RolloutPlan
    variables: Mapping[str, str]

    @property
    def traces(self) -> Traces | None:
        """Which requests have a trace, as the user's variables say."""
        return traces_of(self.variables, self.name)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where Triton listens: its ports, and its address where that is not every one of its container's."""

    http: int = TRITON_HTTP_PORT
    grpc: int = TRITON_GRPC_PORT
    metrics: int = TRITON_METRICS_PORT
    address: str = ""

    def arguments(self) -> list[str]:
        """Render Triton's options."""
        options = []
        for name, port in (("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)):
            options += [f"--{name}-address={self.address}"] if self.address else []
            options.append(f"--{name}-port={port}")
        return options


def triton_command(
    repositories: Iterable[Any],
    *,
    server: str = "tritonserver",
    listening: Listening = Listening(),
    exit_timeout: int = EXIT_TIMEOUT_SECONDS,
    traces: Traces | None = None,
    options: Iterable[str] = (),
) -> list[Any]:
    """Compute Triton's command line. It stays up when a model does not load, so that the probe can say why.

    Args:
        repositories: Its model repositories: texts, or an engine's promises of them, which become words of their own.
        server: The program.
        listening: Where it listens.
        exit_timeout: How many seconds it waits for requests under way when it is told to stop.
        traces: Which requests have a trace, and where their spans go.
        options: What else it needs in its place.

    Returns:
        Its words.
    """
    return [
        server,
        *(word for repository in repositories for word in ("--model-repository", repository)),
        *listening.arguments(),
        "--exit-on-error=false",
        f"--exit-timeout-secs={exit_timeout}",
        *(_tracing(traces) if traces is not None else ()),
        *options,
        *RELOADABLE,
    ]


def keeper_command(port: int = TRITON_HTTP_PORT) -> list[str]:
    """Compute the words before Triton's command line in a container: the keeper asks for models whose process died."""
    return ["python", *KEEPER, f"--triton=http://127.0.0.1:{port}", "--"]


def scorer_command(*, python: str = "python", host: str = "0.0.0.0", port: int = SCORER_PORT) -> list[str]:
    """Compute the scorer's command line."""
    return [python, *SERVER, f"--host={host}", f"--port={port}"]


def recorder_command(
    megabytes: int, *, python: str = "python", host: str = "0.0.0.0", port: int = RECORDER_PORT
) -> list[str]:
    """Compute the recorder's command line; it keeps so many megabytes."""
    return [python, *RECORDER, f"--host={host}", f"--port={port}", f"--megabytes={megabytes}"]


def triton_variables(service: Service) -> dict[str, str]:
    """Compute Triton's environment variables, the user's included."""
    traces = {_SPANS_TIMEOUT: f"{_SPANS_SECONDS}s"} if service.traces is not None else {}
    return {**_threads(service), **service.variables, **traces}


def scorer_variables(service: Service, *, triton_probe: str = "") -> dict[str, str]:
    """Compute the scorer's environment variables, the user's included.

    Args:
        service: The service.
        triton_probe: The file of `serving.probing.probe` that names the script's models; "" without Triton.
    """
    return {
        **_threads(service),
        "SERVICE_NAME": service.name,
        "SCORING_TIMEOUT_MS": str(service.limits.scoring_timeout_ms),
        "MAX_REQUEST_BYTES": str(service.limits.max_request_bytes),
        "GRACEFUL_TIMEOUT": str(service.rollout.graceful_seconds),
        **({"TRITON_PROBE_FILE": triton_probe} if triton_probe else {}),
        **service.variables,
        **_spans(service.traces),
    }


def recorder_variables(service: Service) -> dict[str, str]:
    """Compute the recorder's environment variables, the user's included: they say where it writes, and how."""
    return {"SERVICE_NAME": service.name, **service.variables}


def in_container(variables: Mapping[str, str], service: Service, *, gpus: int) -> dict[str, str]:
    """Add to a program's variables what every container needs: it writes to `/tmp` alone, and has so many `gpus`."""
    # NVIDIA's images ask its runtime for every GPU of the machine unless told otherwise.
    no_gpus = {} if gpus else {"NVIDIA_VISIBLE_DEVICES": "void"}
    needed = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **_threads(service), **no_gpus}
    return {**needed, **variables, **no_gpus}


def _tracing(traces: Traces) -> list[str]:
    """Make Triton trace the requests that carry a `traceparent`, of which the front door decides, and no other."""
    settings = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",  # of tensors, never
        "count=0",
        f"rate={_RARELY}",
        f"opentelemetry,url={traces.url}",
        f"opentelemetry,resource={_NAME}={traces.name_of('triton')}",
    )
    return [f"--trace-config={setting}" for setting in settings]


def _spans(traces: Traces | None) -> dict[str, str]:
    if traces is None:
        return {}
    return {"TRACES_URL": traces.url, SERVICE_NAME: traces.name_of("scorer")}


def stop_seconds(seconds: int) -> int:
    """How long whoever stops a program waits for one that takes so many `seconds` to end."""
    return seconds + _STOP_MARGIN_SECONDS


def _threads(service: Service) -> dict[str, str]:
    """Libraries that count cores see the machine's, not those of the service."""
    return {"OMP_NUM_THREADS": str(service.threads)}
