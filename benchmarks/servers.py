"""What is measured, started: Triton, the entry script servers (ours and Azure's) with each script, and Envoy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.models import Model
from environment import venv
from environment.curated_clone import declared_environment
from environment.venv import BuiltEnvironment
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.keys import Keys
from settings.service_groups import Limits, Resources, RolloutPlan
from targets.machine.ports import free_ports
from targets.process.programs import triton
from targets.process.service_folder import Generation
from targets.process.specification import ServiceSpec
from targets.served import ServedBundle

__all__ = ["KEY", "Machinery", "Server", "bare_envoy", "build_environment", "build_peer"]

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).with_name("scripts")
PEER_REQUIREMENTS = PROJECT / "tests/serving/peer-requirements.txt"
KEY = "benchmark-key-that-opens-the-front-door"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """A running server and its process, whose descendants count as its own."""

    name: str
    url: str
    process: psutil.Process

    @property
    def port(self) -> int:
        """The port of its URL."""
        return int(self.url.rpartition(":")[2])

    @cached_property
    def _family(self) -> list[psutil.Process]:
        """It and its descendants, once it serves: to look them up again costs more than what is measured."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time that its processes have taken so far."""
        times = [process.cpu_times() for process in self._family]
        return sum(each.user + each.system for each in times)

    def cpu_split(self) -> tuple[float, float]:
        """The same, in user space and in the kernel."""
        times = [process.cpu_times() for process in self._family]
        return sum(each.user for each in times), sum(each.system for each in times)

    def worker_mib(self) -> float:
        """Proportional set size of its largest process: the worker, with one of them."""
        return max(process.memory_full_info().pss for process in self._family) / 2**20


def build_environment(state: Path) -> BuiltEnvironment:
    """The curated environment, as a service gets it."""
    return venv.build(declared_environment("AzureML-Triton", None, ()), root=state / "environments", progress=print)


def build_peer(state: Path, ours: BuiltEnvironment) -> Path:
    """Python of an environment with Azure's server and what the scripts import, in our environment's versions."""
    folder = state / "benchmarks" / "peer"
    python = folder / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        same = [f"{name}=={ours.lock.packages[name]}" for name in ("onnxruntime", "geventhttpclient")]
        same.append(f"tritonclient[http]=={ours.lock.packages['tritonclient']}")
        command = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(PEER_REQUIREMENTS), *same]
        subprocess.run(command, check=True)
    return python


@dataclass
class Machinery:
    """Starts servers in a folder, and stops them all when it is left."""

    folder: Path
    ours: BuiltEnvironment
    peer: Path
    triton_port: int = 0
    _running: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Machinery:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start_triton(self, repository: Path, models: Sequence[Model]) -> Server:
        """Triton as the target `process` starts it, on one core."""
        http, grpc, metrics = free_ports(3)
        generation = Generation(number=1, digest="", triton_http=http, triton_grpc=grpc, triton_metrics=metrics)
        bundle = ServedBundle(
            registry="", name="benchmark", version=1, digest="", path=repository.parent, framework="Multi"
        )
        spec = ServiceSpec(
            service_name="benchmark",
            owner="benchmark",
            state_directory=self.folder,
            bundles=(bundle,),
            environment_path=self.ours.path,
            environment_digest=self.ours.digest,
            resources=Resources(),
            limits=Limits(),
            rollout=RolloutPlan(drain_seconds=30),
        )
        launch = triton(spec, generation, directory=self.folder, shared_memory=f"benchmark-{http}-")
        server = self.start("triton", launch.command, launch.variables, f"http://127.0.0.1:{http}")
        for model in models:
            self.await_ready(f"{server.url}/v2/models/{model.name}/ready", server)
        self.triton_port = http
        return server

    def start_script(self, script: str, model: Model, *, peer: bool = False) -> Server:
        """An entry script's server with one worker; `script` is a file of `scripts/`."""
        (port,) = free_ports(1)
        python = self.peer if peer else self.ours.path / "bin" / "python"
        module = ["azureml_inference_server_http"] if peer else ["serving", "--host", "127.0.0.1"]
        variables = {
            "PATH": f"{python.parent}:{os.defpath}",
            "AML_APP_ROOT": str(SCRIPTS),
            "AZUREML_ENTRY_SCRIPT": script,
            "AZUREML_MODEL_DIR": str(self.folder),
            "WORKER_COUNT": "1",
            "OMP_NUM_THREADS": "1",
            "TRITON_HTTP_PORT": str(self.triton_port),
            "BENCHMARK_MODEL": model.name,
            "BENCHMARK_FILE": str(model.file),
            "BENCHMARK_INPUT": model.input,
            "BENCHMARK_OUTPUT": model.output,
            "BENCHMARK_SHAPE": ",".join(str(size) for size in model.shape),
        }
        name = f"{'peer' if peer else 'ours'}-{Path(script).stem}-{model.name}"
        command = [str(python), "-m", *module, "--port", str(port)]
        if peer:
            command += ["--entry_script", str(SCRIPTS / script)]
        server = self.start(name, command, variables, f"http://127.0.0.1:{port}")
        self.await_ready(f"{server.url}/", server)
        return server

    def start_envoy(self, scorer: Server) -> Server:
        """The front door with a key before Triton and an entry script's server, on one thread."""
        name = f"envoy-{scorer.name}"
        port, stats, unused_grpc, unused_metrics = free_ports(4)
        upstreams = Upstreams(
            triton=Triton(
                http=loopback(self.triton_port), grpc=loopback(unused_grpc), metrics=loopback(unused_metrics)
            ),
            scorer=loopback(int(scorer.url.rpartition(":")[2])),
        )
        directory = self.folder / name
        options = Options(
            upstreams=upstreams,
            directory=str(directory),
            listen=loopback(port),
            stats=loopback(stats),
            timeout_seconds=120,
        )
        envoy_folder.install(
            directory, envoy_files.render(options) | envoy_files.render_keys(Keys(primary=KEY, secondary=KEY[::-1]))
        )
        command = envoy_command.command(str(directory / envoy_files.BOOTSTRAP_FILE))
        server = self.start(name, command, {"PATH": os.defpath}, f"http://127.0.0.1:{port}")
        self.await_ready(f"{server.url}/v2/health/ready", server, {"Authorization": f"Bearer {KEY}"})
        return server

    def start_bare_envoy(self) -> Server:
        """Envoy as a proxy and nothing else, before Triton: what the front door is measured against."""
        (port,) = free_ports(1)
        file = self.folder / "bare-envoy.json"
        file.write_text(json.dumps(bare_envoy(port, self.triton_port)))
        server = self.start(
            "bare-envoy", envoy_command.command(str(file)), {"PATH": os.defpath}, f"http://127.0.0.1:{port}"
        )
        self.await_ready(f"{server.url}/v2/health/ready", server)
        return server

    def start(self, name: str, command: Sequence[str], variables: Mapping[str, str], url: str) -> Server:
        """Start a command in the folder; it ends when this is left."""
        log = self._running.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=self.folder, env={"HOME": str(self.folder), **variables}, stdout=log, stderr=log
        )
        self._running.callback(_stop, process)
        return Server(name, url, psutil.Process(process.pid))

    def await_ready(self, url: str, server: Server, headers: Mapping[str, str] | None = None) -> None:
        """Wait until a server answers 200."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.process.is_running():
            try:
                if httpx.get(url, headers=headers, timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        log = (self.folder / f"{server.name}.log").read_text(errors="replace")
        raise RuntimeError(f"{server.name} did not start ({url}):\n{log[-3000:]}")


def bare_envoy(port: int, upstream: int) -> dict[str, Any]:
    """Configure Envoy with one listener, one route and one cluster, and an answer of its own at `/static`."""

    def address(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    static = {"match": {"path": "/static"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "triton"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [static, route]}]},
        "http_filters": [router],
    }
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}
    assignment = {"cluster_name": "triton", "endpoints": [endpoint]}
    listener = {
        "address": address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    cluster = {"name": "triton", "type": "STATIC", "load_assignment": assignment}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
