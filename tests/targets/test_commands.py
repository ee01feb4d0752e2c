"""The same settings are the same commands and variables on every target, but for differences that are named here."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from environment.curated_clone import Environment
from environment.dockerfile import environment_dockerfile, service_dockerfile
from environment.image_layout import repository
from settings.load import load
from settings.service_groups import Limits, Resources, RolloutPlan
from settings.stack_reader import file_of
from targets.docker import containers as docker
from targets.docker.specification import ServiceSpec as DockerSpec
from targets.node_pool.objects.pod_containers import replica_containers
from targets.node_pool.rendering import Contents, Options
from targets.process import programs
from targets.process.service_folder import Generation
from targets.process.specification import EntryScript, ServedBundle
from targets.process.specification import ServiceSpec as ProcessSpec

PROJECT = Path(__file__).resolve().parents[2]
CORES, MEGABYTES, TIMEOUT_MS, DRAIN = 3, 200, 90_000, 45
RECORDED = 300
USERS = {"STRESS": "1", "AZUREML_LOG_LEVEL": "DEBUG", "COLLECT_URL": "s3://bucket/collected"}
OTHERS = ("docker", "node-pool")
BUNDLES = [("digits", 2), ("bert", 7)]

# A process has ports and paths of its own; a container and a pod have those of the image.
OWN_PLACES = {"AML_APP_ROOT", "AZUREML_SOURCE_DIRECTORY", "AZUREML_MODEL_DIR", "TRITON_PROBE_FILE", "PATH"}
# A process's Triton listens elsewhere than Azure's scripts expect; the scorer leads them there.
OWN_PORTS = {"TRITON_HTTP_PORT", "TRITON_GRPC_PORT"}
# A process takes these of its machine.
OF_THE_MACHINE = {"HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "CUDA_VISIBLE_DEVICES"}
# The wheel's libraries lie in the environment, the image's where the loader finds them.
OF_THE_WHEEL = {"LD_LIBRARY_PATH"}
# A container has no folder of its own but /tmp, and is told of GPUs by NVIDIA's runtime.
OF_A_CONTAINER = {"HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "NVIDIA_VISIBLE_DEVICES"}
OWN_OPTIONS = {
    *(f"--{name}-{what}" for name in ("http", "grpc", "metrics") for what in ("port", "address")),
    "--model-repository",
    "--backend-directory",  # the wheel has no folder of them that Triton knows
    "--cache-directory",
    "--backend-config",  # generations of one machine share /dev/shm
    "--exit-timeout-secs",  # a pod's Triton drains by itself, where others are drained by the gateway
    "--host",
    "--port",
}


@dataclass
class Started:
    """A program as a target starts it."""

    command: list[str]
    variables: dict[str, str]

    @property
    def options(self) -> dict[str, str]:
        """The options of the command, by name."""
        words = self.command[next(n for n, word in enumerate(self.command) if word.startswith("--")) :]
        joined = shlex.join(words).replace("--model-repository ", "--model-repository=")
        return dict(word.split("=", 1) for word in shlex.split(joined) if word != "--")


class _Server:
    server = Path("/environment/tritonserver")
    backend_directory = cache_directory = Path("/environment/backends")
    library_path = "/environment/lib"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Started]]:
    monkeypatch.setattr(programs, "triton_in", lambda _: _Server())
    return {"process": _process(), "docker": _docker(), "node-pool": _node_pool(tmp_path)}


def _process() -> dict[str, Started]:
    spec = ProcessSpec(
        service_name="web",
        owner="o",
        state_directory=Path("/state"),
        bundles=tuple(
            ServedBundle(registry="", name=name, version=version, digest="", path=Path("/m"), framework="Multi")
            for name, version in BUNDLES
        ),
        environment_path=Path("/environment"),
        environment_digest="e",
        entry_script=EntryScript(source_directory=Path("/source"), file="score.py", digest="s"),
        resources=Resources(cpu_cores=CORES),
        limits=Limits(scoring_timeout_ms=TIMEOUT_MS, max_request_megabytes=MEGABYTES),
        rollout=RolloutPlan(drain_seconds=DRAIN),
        variables={**Environment.get("AzureML-Triton").variables, **USERS},
        recorded_megabytes=RECORDED,
    )
    generation = Generation(number=1, digest="d", triton_http=1, triton_grpc=2, triton_metrics=3, scorer=4, recorder=5)
    launches = {
        "triton": programs.triton(spec, generation, directory=Path("/g"), shared_memory="s-"),
        "scorer": programs.scorer(
            spec, generation, source_directory=Path("/g"), model_directory=Path("/m"), probe=Path("/g/probe.json")
        ),
        "recorder": programs.recorder(spec, generation, directory=Path("/g"), source_directory=Path("/g/source")),
    }
    return {name: Started(launch.command, launch.variables) for name, launch in launches.items()}


def _image() -> dict[str, str]:
    """The variables of a service's image."""
    environment = Environment.get("AzureML-Triton")
    texts = (
        environment_dockerfile(environment, base_image="base", digest="").rpartition("FROM base\n")[2],
        service_dockerfile(
            [(name, version, "d") for name, version in BUNDLES],
            environment_image="e",
            frameworks=["Multi"],
            digest="",
            entry_script="score.py",
        ),
    )
    words = [word for text in texts for line in re.findall(r"^ENV (.*)$", text, re.M) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def _docker() -> dict[str, Started]:
    spec = DockerSpec(
        service_name="web",
        owner="o",
        state_directory=Path("/state"),
        network="n",
        image="i",
        bundles=(),
        repositories=tuple(repository(*bundle) for bundle in BUNDLES),
        scorer=True,
        resources=Resources(cpu_cores=CORES),
        limits=Limits(scoring_timeout_ms=TIMEOUT_MS, max_request_megabytes=MEGABYTES),
        rollout=RolloutPlan(drain_seconds=DRAIN),
        variables=USERS,
        recorded_megabytes=RECORDED,
    )
    bodies = {container.role: container.body for container in docker.generation(spec, 1)}
    return {
        role: Started(
            _without_keeper([*bodies[role]["Entrypoint"], *bodies[role]["Cmd"]]),
            _image() | dict(entry.split("=", 1) for entry in bodies[role]["Env"]),
        )
        for role in ("triton", "scorer", "recorder")
    }


def _node_pool(project: Path) -> dict[str, Started]:
    (project / "models" / "triton").mkdir(parents=True)
    (project / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    tree: dict[str, Any] = {
        "serviceName": "web",
        "models": [{"path": str(PROJECT / "model_repository"), "name": "m"}],
        "image": {"repository": "registry.example/web"},
        "entryScript": "score.py",
        "sourceDirectory": str(project),
        "environment": {"variables": USERS},
        "deployment": {
            "target": "node-pool",
            "computeTargetName": "aks-gpu",
            "gpuCores": 1,
            "cpuCores": CORES,
            "scoringTimeoutMs": TIMEOUT_MS,
            "maxRequestMegabytes": MEGABYTES,
            "recordRequests": {"maxMegabytes": RECORDED},
            "rollout": {"drainSeconds": DRAIN},
        },
        "nodePool": {
            "scorerShare": 0.5,
            "cpuCoresLimit": 2 * CORES,
            "frontDoor": {"memoryMb": 2048},
        },  # each has as many cores as elsewhere
    }
    settings = load(tree, subject=file_of("test"), project=project)
    repositories = tuple(repository(*bundle) for bundle in BUNDLES)
    pod = replica_containers(
        Options(
            settings=settings,
            triton=True,
            scorer=True,
            owner="o",
            contents=Contents(image="i", repositories=repositories),
        )
    )
    return {
        container["name"]: Started(
            _without_keeper([*container["command"], *container.get("args", [])]),
            _image() | {variable["name"]: variable["value"] for variable in container["env"]},
        )
        for container in (*pod["initContainers"], *pod["containers"])
    }


def _without_keeper(command: list[str]) -> list[str]:
    """The command that a container's keeper starts: a process has its keeper in `launch.py`."""
    return command[command.index("--") + 1 :] if "--" in command else command


def _alike(variables: Mapping[str, str]) -> dict[str, str]:
    different = OWN_PLACES | OWN_PORTS | OF_THE_MACHINE | OF_THE_WHEEL | OF_A_CONTAINER
    return {name: value for name, value in variables.items() if name not in different}


@pytest.mark.parametrize("other", OTHERS)
def test_the_scorer_is_told_the_same_everywhere(started: dict[str, dict[str, Started]], other: str) -> None:
    told = _alike(started["process"]["scorer"].variables)
    assert _alike(started[other]["scorer"].variables) == told
    assert told == {
        **USERS,
        "OMP_NUM_THREADS": str(CORES),
        "WORKER_COUNT": "1",  # the curated environment's
        "SERVICE_NAME": "web",
        "SERVICE_VERSION": "digits:2,bert:7",
        "SCORING_TIMEOUT_MS": str(TIMEOUT_MS),
        "MAX_REQUEST_BYTES": str(MEGABYTES * 1024 * 1024),
        "GRACEFUL_TIMEOUT": str(DRAIN),
        "AZUREML_ENTRY_SCRIPT": "score.py",
    }


@pytest.mark.parametrize("other", OTHERS)
def test_the_recorder_is_told_the_same_everywhere(started: dict[str, dict[str, Started]], other: str) -> None:
    told = _alike(started["process"]["recorder"].variables)
    found = {name: text for name, text in _alike(started[other]["recorder"].variables).items() if name in told}
    assert found == told
    assert told == {
        **USERS,
        "WORKER_COUNT": "1",
        "SERVICE_NAME": "web",
        "SERVICE_VERSION": "digits:2,bert:7",
        "AZUREML_ENTRY_SCRIPT": "score.py",
    }
    assert started[other]["recorder"].options["--megabytes"] == str(RECORDED)


@pytest.mark.parametrize("other", OTHERS)
def test_triton_is_told_the_same_everywhere(started: dict[str, dict[str, Started]], other: str) -> None:
    of_the_image = {"AZUREML_ENTRY_SCRIPT", "SERVICE_VERSION"}  # whose containers are both Triton's and the scorer's
    found = _alike(started[other]["triton"].variables)
    assert {name: value for name, value in found.items() if name not in of_the_image} == _alike(
        started["process"]["triton"].variables
    )


@pytest.mark.parametrize("role", ["triton", "scorer", "recorder"])
@pytest.mark.parametrize("other", OTHERS)
def test_commands_differ_in_what_is_named_alone(started: dict[str, dict[str, Started]], other: str, role: str) -> None:
    here, there = started["process"][role].options, started[other][role].options
    assert {n: v for n, v in here.items() if n not in OWN_OPTIONS} == {
        n: v for n, v in there.items() if n not in OWN_OPTIONS
    }


def test_a_container_and_a_pod_start_the_same_commands(started: dict[str, dict[str, Started]]) -> None:
    assert started["docker"]["scorer"].command == started["node-pool"]["scorer"].command
    exits = [
        (roles["triton"].options.pop("--exit-timeout-secs"), roles["triton"].options)
        for roles in (started["docker"], started["node-pool"])
    ]
    assert [timeout for timeout, _ in exits] == ["20", str(DRAIN)]
    without = [
        [word for word in started[target]["triton"].command if not word.startswith("--exit-timeout-secs")]
        for target in ("docker", "node-pool")
    ]
    assert without[0] == without[1]


def test_what_a_user_sets_wins_everywhere_but_where_a_place_would_not_work(
    started: dict[str, dict[str, Started]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(USERS, "SERVICE_NAME", "theirs")
    monkeypatch.setitem(USERS, "GRACEFUL_TIMEOUT", "7")
    monkeypatch.setitem(USERS, "WORKER_COUNT", "4")
    (tmp_path / "again").mkdir()
    for roles in (_process(), _docker(), _node_pool(tmp_path / "again")):
        found = roles["scorer"].variables
        assert (found["SERVICE_NAME"], found["GRACEFUL_TIMEOUT"], found["WORKER_COUNT"]) == ("theirs", "7", "4")


def test_traces_are_the_same_everywhere_and_nowhere_unless_asked_for(
    started: dict[str, dict[str, Started]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [word for roles in started.values() for program in roles.values() for word in program.command]
    assert not [word for word in words if "trace" in word]
    monkeypatch.setitem(USERS, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setitem(USERS, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setitem(USERS, "OTEL_TRACES_SAMPLER_ARG", "0.01")
    url = "http://collector:4318/v1/traces"
    for target in (_process(), _docker(), _node_pool(tmp_path / "traced")):
        triton, scorer = target["triton"], target["scorer"]
        assert [word for word in triton.command if "trace" in word] == [
            "--trace-config=mode=opentelemetry",
            "--trace-config=level=TIMESTAMPS",
            "--trace-config=count=0",  # of its own accord, Triton traces no request
            "--trace-config=rate=2147483647",
            f"--trace-config=opentelemetry,url={url}",
            "--trace-config=opentelemetry,resource=service.name=web-triton",
        ]
        assert scorer.variables["TRACES_URL"] == url
        assert scorer.variables["OTEL_SERVICE_NAME"] == "web-scorer"
        assert "TRACES_URL" not in triton.variables
        for program in (triton, scorer):
            assert program.variables["OTEL_TRACES_SAMPLER_ARG"] == "0.01"
