"""Fixtures of the tests of `serving`: an environment for scripts, Triton, Azure's server, and servers with a script."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
import uv

from environment.curated_clone import Environment
from environment.venv import BuiltEnvironment
from targets.machine.ports import free_ports
from tests import built_environments
from tests.serving import servers
from tests.serving.servers import PROJECT, Server
from tests.waiting import eventually

CACHE = built_environments.CACHE / "serving-tests"
PEER_REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
MODELS = Path(__file__).with_name("models")

StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def script_environment() -> BuiltEnvironment:
    """Build the curated environment with Triton, and with the packages that scripts of these tests import.

    It holds the dependencies of `serving` only: the servers run this checkout's code, by PYTHONPATH.
    """
    project = CACHE / "project"
    project.mkdir(parents=True, exist_ok=True)  # other workers of this run may be at it
    for name in ("pyproject.toml", "__init__.py"):
        shutil.copy(PROJECT / "serving" / name, project)
    (project / "README.md").write_text("")  # the wheel has one, and its words must not build another environment
    wanted = Environment.get("AzureML-Triton")
    for package in ("inference-schema[numpy-support]", "pyarrow<20"):
        wanted = wanted.add_pip_package(package)
    return built_environments.kept(wanted, "serving-tests/environments", serving=project)


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """Build a virtual environment with Azure's server, and give its interpreter."""
    content = PEER_REQUIREMENTS.read_bytes()
    digest = hashlib.sha256(content + os.fsencode(os.path.realpath(os.sys.executable))).hexdigest()[:12]  # type: ignore[attr-defined]
    folder = CACHE / f"peer-{digest}"
    if not folder.is_dir():
        staging = CACHE / f".peer-{digest}"
        shutil.rmtree(staging, ignore_errors=True)
        run = [uv.find_uv_bin()]
        subprocess.run([*run, "venv", "--quiet", "--relocatable", str(staging)], check=True)
        install = ["pip", "install", "--quiet", "--python", str(staging / "bin" / "python")]
        subprocess.run([*run, *install, "-r", str(PEER_REQUIREMENTS)], check=True)
        staging.rename(folder)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def triton(script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a real Triton with the models of `tests/serving/models` and the digits classifier."""
    triton = script_environment.triton
    assert triton is not None
    port, grpc_port = free_ports(2)
    arguments = [
        str(triton.server),
        f"--model-repository={MODELS}",
        f"--model-repository={PROJECT / 'model_repository' / 'triton'}",
        f"--backend-directory={triton.backend_directory}",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--allow-grpc=true",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={grpc_port}",
        "--allow-metrics=false",
        "--model-control-mode=explicit",
        "--load-model=echo",
        "--load-model=digits",
        "--load-model=mirror",
        "--log-verbose=1",
        "--exit-timeout-secs=2",
        f"--backend-config=python,shm-region-prefix-name=serving-tests-{port}-",
    ]
    variables = {
        "PATH": f"{script_environment.bin}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": triton.library_path,
        "OMP_NUM_THREADS": "1",
    }
    folder = tmp_path_factory.mktemp("triton")
    with servers.running(arguments, port, folder, variables, path="/v2/models/echo/ready") as server:
        for model in ("digits", "mirror"):
            ready = f"{server.url}/v2/models/{model}/ready"
            eventually(partial(servers.answers, ready), f"model {model}", 30)
        yield server


@pytest.fixture
def start(script_environment: BuiltEnvironment, tmp_path: Path) -> Iterator[StartServer]:
    """Give a function that starts our server with a script: `start(source, flags=…, variables=…, files=…, wait=…)`."""
    with ExitStack() as stack:
        yield lambda source, **options: start_in(stack, script_environment.python, tmp_path, source, **options)


def start_in(
    stack: ExitStack,
    python: Path,
    folder: Path,
    source: str,
    *,
    peer: bool = False,
    flags: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    wait: bool = True,
) -> Server:
    """Start a server with a script of the text `source` in a folder; it stops when `stack` closes."""
    folder = folder / ("peer" if peer else "ours")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "score.py").write_text(dedent(source))
    for name, content in (files or {}).items():
        (folder / name).write_text(content)
    port = free_ports(1)[0]
    arguments = [*servers.command(python, port, folder / "score.py", peer=peer), *flags]
    start = servers.running if wait else servers.spawned
    return stack.enter_context(start(arguments, port, folder, variables))
