"""The processes of a generation: Triton's and the entry script server's command lines, environments and folders."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from environment.venv import triton_in
from serving.command import RELOADABLE, SERVER
from targets.process.directory import Generation
from targets.process.spec import ServiceSpec

__all__ = ["Launch", "scorer", "triton"]

# Triton waits this long for requests under way when it is told to stop, and the supervisor a little longer.
EXIT_TIMEOUT_SECONDS = 20
STOP_SECONDS = EXIT_TIMEOUT_SECONDS + 10

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE")
_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Launch:
    """What `launch.py` reads: a command, the folder it starts in, its whole environment.

    `memory_mb` bounds what it and its processes use together; `triton` is the address of the Triton that it is.
    """

    command: list[str]
    directory: Path
    variables: dict[str, str]
    memory_mb: int | None = None
    triton: str | None = None

    def to_json(self) -> str:
        launch = {
            "command": self.command,
            "directory": str(self.directory),
            "variables": self.variables,
            "memoryMb": self.memory_mb,
            "triton": self.triton,
        }
        return json.dumps(launch, indent=2)


def triton(
    spec: ServiceSpec,
    generation: Generation,
    *,
    directory: Path,
    shared_memory: str,
) -> Launch:
    """Triton on loopback, serving the model repository of each of its bundles.

    It stays up when a model does not load, so that its repository index can say why. `shared_memory` is the prefix of
    its Python backend's regions.
    """
    server = triton_in(spec.environment_path)
    command = [
        str(server.server),
        *(f"--model-repository={bundle.path / 'triton'}" for bundle in spec.triton_bundles),
        f"--backend-directory={server.backend_directory}",
        f"--cache-directory={server.cache_directory}",
        "--http-address=127.0.0.1",
        f"--http-port={generation.triton_http}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={generation.triton_grpc}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={generation.triton_metrics}",
        "--exit-on-error=false",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        *RELOADABLE,
    ]
    variables = {
        **_inherited(),
        "OMP_NUM_THREADS": str(max(1, int(spec.cpu_cores))),
        **spec.variables,
        **_gpus(spec),
        # The Python backend embeds the `python3` that is first on PATH.
        "PATH": _path(spec),
        "LD_LIBRARY_PATH": server.library_path,
    }
    return Launch(
        command=command,
        directory=directory,
        variables={k: v for k, v in variables.items() if v or k == _GPUS},
        memory_mb=spec.memory_mb,
        triton=f"http://127.0.0.1:{generation.triton_http}",
    )


def scorer(
    spec: ServiceSpec,
    generation: Generation,
    *,
    source_directory: Path,
    model_directory: Path,
    probe: Path,
) -> Launch:
    """The entry script server on loopback, with Azure's environment variables; `probe` names the models it needs."""
    if spec.entry_script is None or generation.scorer is None:
        raise ValueError("a generation without an entry script has no scorer")
    variables = {
        **_inherited(),
        "SCORING_TIMEOUT_MS": str(spec.scoring_timeout_ms),
        "SERVICE_VERSION": ",".join(f"{bundle.name}:{bundle.version}" for bundle in spec.bundles),
        **spec.variables,
        **_gpus(spec),
        "PATH": _path(spec),
        "AML_APP_ROOT": str(source_directory),
        "AZUREML_SOURCE_DIRECTORY": str(source_directory),
        "AZUREML_ENTRY_SCRIPT": spec.entry_script.file,
        "AZUREML_MODEL_DIR": str(model_directory),
        "SERVICE_NAME": spec.service_name,
    }
    if generation.triton_http is not None:
        variables["TRITON_HTTP_PORT"] = str(generation.triton_http)
        variables["TRITON_GRPC_PORT"] = str(generation.triton_grpc)
        variables["TRITON_PROBE_FILE"] = str(probe)
    command = [
        str(spec.environment_path / "bin" / "python"),
        *SERVER,
        "--host",
        "127.0.0.1",
        "--port",
        str(generation.scorer),
    ]
    return Launch(command=command, directory=source_directory, variables=variables, memory_mb=spec.memory_mb)


def _gpus(spec: ServiceSpec) -> dict[str, str]:
    """The GPUs that a process may see: the first ones of this machine, or of those that its user lets it see."""
    chosen = spec.variables.get(_GPUS) or os.environ.get(_GPUS)
    there = chosen.split(",") if chosen else [str(number) for number in range(spec.gpu_cores)]
    return {_GPUS: ",".join(there[: spec.gpu_cores])}


def _path(spec: ServiceSpec) -> str:
    return f"{spec.environment_path / 'bin'}:{os.environ.get('PATH', os.defpath)}"


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
