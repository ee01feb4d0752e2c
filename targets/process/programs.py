"""The processes of a generation: Triton's and the entry script server's command lines, environments and folders."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from environment.script_variables import script_variables, service_version
from environment.venv import triton_in
from targets import commands
from targets.process.service_folder import Generation
from targets.process.specification import ServiceSpec

__all__ = ["Launch", "prover", "recorder", "scorer", "triton"]

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE")
_LOOPBACK = "127.0.0.1"
_GPUS = "CUDA_VISIBLE_DEVICES"
# The prover dies with the process of this id (`PR_SET_PDEATHSIG` of prctl(2)): nobody would read its verdict.
_PROVE = (
    "import ctypes, os, runpy, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); parent = int(sys.argv.pop()); "
    "os.getppid() == parent or sys.exit(1); runpy.run_module('serving.proving', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True)
class Launch:
    """What `launch.py` reads: a command, the folder it starts in, its whole environment.

    `memory_mb` bounds what it and its processes use together; `triton` is the address of the Triton that it is;
    `stop_seconds` is how long the supervisor waits for its end.
    """

    command: list[str]
    directory: Path
    variables: dict[str, str]
    memory_mb: int | None = None
    triton: str | None = None
    stop_seconds: int = commands.stop_seconds(commands.EXIT_TIMEOUT_SECONDS)

    def to_json(self) -> str:
        """Write the launch file."""
        launch = {
            "command": self.command,
            "directory": str(self.directory),
            "variables": self.variables,
            "memoryMb": self.memory_mb,
            "triton": self.triton,
            "stopSeconds": self.stop_seconds,
        }
        return json.dumps(launch, indent=2)

    @classmethod
    def stop_seconds_in(cls, file: Path) -> int:
        """Read how long the supervisor waits for the end of what a launch file starts."""
        return int(json.loads(file.read_bytes()).get("stopSeconds", cls.stop_seconds))


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
    listening = commands.Listening(
        http=_port(generation.triton_http),
        grpc=_port(generation.triton_grpc),
        metrics=_port(generation.triton_metrics),
        address=_LOOPBACK,
    )
    command = commands.triton_command(
        [str(bundle.path / "triton") for bundle in spec.triton_bundles],
        server=str(server.server),
        listening=listening,
        traces=spec.told.traces,
        options=[
            f"--backend-directory={server.backend_directory}",
            f"--cache-directory={server.cache_directory}",
            f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        ],
    )
    variables = {
        **_inherited(),
        **commands.triton_variables(spec.told),
        **_gpus(spec),
        # The Python backend embeds the `python3` that is first on PATH.
        "PATH": _path(spec),
        "LD_LIBRARY_PATH": server.library_path,
    }
    return Launch(
        command=command,
        directory=directory,
        variables={k: v for k, v in variables.items() if v or k == _GPUS},
        memory_mb=spec.resources.memory_mb,
        triton=f"http://{_LOOPBACK}:{generation.triton_http}",
    )


def scorer(
    spec: ServiceSpec,
    generation: Generation,
    *,
    source_directory: Path,
    model_directory: Path,
    probe: Path,
) -> Launch:
    """Describe the scorer on loopback, with Azure's environment variables; `probe` names the models that it needs."""
    if spec.entry_script is None or generation.scorer is None:
        raise ValueError("a generation without an entry script has no scorer")
    with_triton = generation.triton_http is not None
    variables = {
        **_inherited(),
        **service_version([(bundle.name, bundle.version) for bundle in spec.bundles]),
        **commands.scorer_variables(spec.told, triton_probe=str(probe) if with_triton else ""),
        **_gpus(spec),
        "PATH": _path(spec),
        **script_variables(source_directory, spec.entry_script.file),
        "AZUREML_MODEL_DIR": str(model_directory),
    }
    if with_triton:
        variables["TRITON_HTTP_PORT"] = str(generation.triton_http)
        variables["TRITON_GRPC_PORT"] = str(generation.triton_grpc)
    return Launch(
        command=commands.scorer_command(
            python=str(spec.environment_path / "bin" / "python"), host=_LOOPBACK, port=generation.scorer
        ),
        directory=source_directory,
        variables=variables,
        memory_mb=spec.resources.memory_mb,
        stop_seconds=commands.stop_seconds(spec.rollout.graceful_seconds),
    )


def recorder(spec: ServiceSpec, generation: Generation, *, directory: Path, source_directory: Path) -> Launch:
    """Describe the recorder on loopback; the function of COLLECT_REDACT may be in the script's folder."""
    script = spec.entry_script
    variables = {
        **_inherited(),
        **service_version([(bundle.name, bundle.version) for bundle in spec.bundles]),
        **commands.recorder_variables(spec.told),
        "PATH": _path(spec),
        **(script_variables(source_directory, script.file) if script is not None else {}),
    }
    return Launch(
        command=commands.recorder_command(
            spec.recorded_megabytes or 0,
            python=str(spec.environment_path / "bin" / "python"),
            host=_LOOPBACK,
            port=_port(generation.recorder),
        ),
        directory=directory,
        variables=variables,
        memory_mb=commands.RECORDER_MEMORY_MB,
        stop_seconds=commands.RECORDER_STOP_SECONDS,
    )


def prover(spec: ServiceSpec, *, directory: Path) -> Launch:
    """Describe the prover, which gets the id of the process that starts it as one more word.

    It has the user's variables: those by which the entry script server reaches COLLECT_URL.
    """
    python = spec.environment_path / "bin" / "python"
    variables = {**_inherited(), **spec.variables, "PATH": _path(spec)}
    return Launch(command=[str(python), "-I", "-c", _PROVE], directory=directory, variables=variables)


def _port(chosen: int | None) -> int:
    if chosen is None:
        raise ValueError("a generation without such a program has no port of its")
    return chosen


def _gpus(spec: ServiceSpec) -> dict[str, str]:
    """Name the GPUs that a process may see: the first ones of this machine, or of those that its user lets it see."""
    chosen = spec.variables.get(_GPUS) or os.environ.get(_GPUS)
    count = spec.resources.gpu_cores
    there = chosen.split(",") if chosen else [str(number) for number in range(count)]
    return {_GPUS: ",".join(there[:count])}


def _path(spec: ServiceSpec) -> str:
    return f"{spec.environment_path / 'bin'}:{os.environ.get('PATH', os.defpath)}"


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
