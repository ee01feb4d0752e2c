"""The probe of a generation: what is asked of it before it gets traffic, and of the service when it is measured."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bundle.probe_questions import declared_versions
from bundle.registry import Registry
from bundle.triton_log import refusals
from common.waiting import wait_until
from serving.probing import probe
from serving.probing.golden_check import Problem
from targets.errors import ServiceError
from targets.machine.ports import is_listening
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Supervisor
from targets.role import Role

__all__ = ["GenerationProbe", "probe_file", "probe_questions"]

POLL_SECONDS = 0.2
LOG_LINES = 40


def probe_file(spec: ServiceSpec, generation: Generation) -> str:
    """Write the probe of a generation in the form that `serving.probing.probe` reads, JSON."""
    wanted: dict[str, object] = {"triton": None, "scorer": None}
    if generation.triton_http is not None:
        registered = (Registry(bundle.registry).get(bundle.name, bundle.version) for bundle in spec.triton_bundles)
        models = [model for bundle in registered for model in declared_versions(bundle)]
        wanted["triton"] = {"url": f"http://127.0.0.1:{generation.triton_http}", "models": models}
        wanted["resources"] = spec.resources.model_dump(by_alias=True)
    if generation.scorer is not None:
        golden = json.loads(spec.entry_script.golden) if spec.entry_script else None
        wanted["scorer"] = {"url": f"http://127.0.0.1:{generation.scorer}", "golden": golden or None}
    return json.dumps(wanted)


def probe_questions(directory: ServiceDirectory, generation: Generation) -> dict[str, Any]:
    """Read what the probe asks a generation."""
    questions: dict[str, Any] = json.loads((directory.generation(generation.number) / "probe.json").read_bytes())
    return questions


class GenerationProbe:
    """The probe of one generation's processes; `log` gives the log file of a program."""

    def __init__(
        self, supervisor: Supervisor, generation: Generation, directory: ServiceDirectory, log: Callable[[str], Path]
    ) -> None:
        self._supervisor = supervisor
        self._generation = generation
        self._log = log
        self._wanted = probe_questions(directory, generation)

    def problems(self, timeout: float = probe.INFER_TIMEOUT) -> list[Problem]:
        """Ask everything once; one for each thing that is not as it should be. A golden answer may take `timeout`."""
        return probe.problems(self._wanted, infer_timeout=timeout) or self._gpu_problems()

    def _gpu_problems(self) -> list[Problem]:
        """Whether models run on a GPU where the service has one: Triton gives them the CPU where it sees none.

        An ONNX model's instance on a GPU is proof: the backend loads none whose CUDA provider is not active.
        """
        cores, triton = self._wanted.get("resources", {}).get("gpuCores", 0), self._wanted["triton"]
        if not cores or not triton:
            return []
        for model in triton["models"]:
            path = f"/v2/models/{model['name']}/versions/{model['version']}/config"
            try:
                config = httpx.get(f"{triton['url']}{path}").json()
            except (httpx.HTTPError, ValueError) as error:
                return [Problem(f"triton: GET {triton['url']}{path}: {error}")]
            if any(group["kind"] == "KIND_GPU" for group in config.get("instance_group", ())):
                return []
        return [
            Problem(
                f"deployment.gpuCores is {cores}, and Triton runs every model on the CPU: it sees no GPU; ask "
                "nvidia-smi, and compare the driver's version with what CUDA in Triton's log asks for",
                final=True,
            )
        ]

    def wait(
        self,
        seconds: float,
        progress: Callable[[str], None],
        timeout: float = probe.INFER_TIMEOUT,
        *,
        is_new: bool = False,
    ) -> None:
        """Wait until nothing is wrong.

        Args:
            seconds: How long.
            progress: Is told what is awaited.
            timeout: How long a golden answer may take: what the front door gives to a request.
            is_new: Whether the generation never served. Its recorder must listen; that of another decides nothing.

        Raises:
            ServiceError: The time is over, or waiting is of no use: a process died or a model did not load. The error
                has the reason in Triton's or the script's own words.
        """
        deadline = time.monotonic() + seconds
        first_pids: dict[str, int] = {}
        texts = ""

        def is_ready() -> bool:
            nonlocal texts
            problems = self.problems(max(1.0, min(timeout, deadline - time.monotonic())))
            if is_new and not problems:
                problems = self._recorder_problems()
            if not problems:
                return True
            self._check_alive(self._generation.programs if is_new else self._generation.servers, first_pids)
            told, texts = texts, "\n".join(problem.text for problem in problems)
            if any(problem.final for problem in problems):
                raise ServiceError("\n".join([texts, *self._refusals()]))
            if texts != told:
                progress(f"waiting: {problems[0].text}")
            return False

        if not wait_until(is_ready, seconds=seconds, every=POLL_SECONDS):
            raise ServiceError(f"not ready within {seconds:g} s:\n{texts}")

    def _recorder_problems(self) -> list[Problem]:
        port = self._generation.recorder
        if port is None or is_listening(port):
            return []
        return [Problem(f"recorder: nobody listens at 127.0.0.1:{port}")]

    def _refusals(self) -> list[str]:
        """Triton's words for models that it refused unread, which its repository index does not have."""
        logs = [self._log(name) for name in self._generation.programs if name.startswith(f"{Role.TRITON}-")]
        return [f"  {words}" for log in logs if log.is_file() for words in refusals(_lines(log))]

    def _check_alive(self, programs: list[str], first_pids: dict[str, int]) -> None:
        processes = self._supervisor.processes()
        for name in programs:
            process = processes.get(name)
            died = process is None or process.state in ("BACKOFF", "EXITED", "FATAL")
            if process is not None and process.pid:
                died = died or first_pids.setdefault(name, process.pid) != process.pid
            if died:
                raise ServiceError(f"{name} ended before it was ready; the end of its log:\n{tail(self._log(name))}")


def tail(log: Path, lines: int = LOG_LINES) -> str:
    """Read the last lines of a log file, indented."""
    if not log.is_file():
        return "  (no log)"
    return "\n".join(f"  {line}" for line in _lines(log)[-lines:])


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()
