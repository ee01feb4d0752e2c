"""What traces cost: the same service without traces, twice, and with one for 1 % of the requests, in turns.

    .venv/bin/python -m benchmarks.traces --rounds 7 --seconds 4

Each is a front door, an entry script that calls Triton, and Triton, with the variables that a stack gives them; a
server takes all spans and forgets them. Prints, for requests to the script and to Triton, the processor time that the
three take for one, the throughput, and p50: medians, and the medians of the rounds' ratios to the service without
traces with their range. `--kinds "no traces" each` compares with a trace for each request, of which Triton 2.51 bears
some 100,000 under load before it ends (https://github.com/triton-inference-server/server/issues/7795).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.access_log import answering_server
from benchmarks.models import DIGITS
from benchmarks.servers import KEY, SCRIPTS, Machinery, Server
from environment import venv
from environment.curated_clone import declared_environment
from environment.venv import BuiltEnvironment
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.keys import Keys
from gateway.otel_variables import traces_of
from settings.requirements_file import pip_packages
from settings.schema import Environment
from settings.service_groups import Limits, Resources, RolloutPlan
from targets import commands
from targets.machine.ports import free_ports
from targets.process.programs import triton
from targets.process.service_folder import Generation
from targets.process.specification import ServiceSpec
from targets.served import ServedBundle

PROJECT = Path(__file__).resolve().parents[1]
HEADERS = {"Authorization": f"Bearer {KEY}"}
BARE = ("no traces", "none once more")
KINDS = {**dict.fromkeys(BARE), "one of a million": "0.000001", "1 %": "0.01", "each": "1"}
PARTS = ("door", "scorer", "Triton")


@dataclass(frozen=True)
class Service:
    """The servers of one service, and the folder of their logs; `url` is the front door's."""

    url: str
    parts: tuple[Server, ...]
    folder: Path

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each has taken so far."""
        return {name: part.cpu_seconds() for name, part in zip(PARTS, self.parts, strict=True)}

    def ended(self) -> str:
        """Say which of them ended by a signal, by Triton's words for it."""
        logs = {part.name: (self.folder / f"{part.name}.log").read_text(errors="replace") for part in self.parts}
        return "".join(
            f"; {name}: {line}" for name, text in logs.items() for line in text.splitlines() if "Signal (" in line
        )


def _environment(state: Path) -> BuiltEnvironment:
    asked = Environment(variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"})
    declared = declared_environment(asked.name, None, pip_packages(asked))
    return venv.build(declared, root=state / "environments", progress=print)


def _variables(share: str | None, collector: int) -> dict[str, str]:
    if share is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": share,
    }


def _service(machinery: Machinery, repository: Path, share: str | None, collector: int) -> Service:
    """Start a service with a script's worker and a core for Triton."""
    http, grpc, metrics, scoring, port, stats = free_ports(6)
    name = f"service-{http}"
    folder = machinery.folder / name
    folder.mkdir()
    environment = machinery.ours
    spec = ServiceSpec(
        service_name="benchmark",
        owner="benchmark",
        state_directory=folder,
        bundles=(ServedBundle(registry="", name="m", version=1, digest="", path=repository.parent, framework="Multi"),),
        environment_path=environment.path,
        environment_digest=environment.digest,
        resources=Resources(),
        limits=Limits(),
        rollout=RolloutPlan(drain_seconds=30),
        variables=_variables(share, collector),
    )
    generation = Generation(number=1, digest="", triton_http=http, triton_grpc=grpc, triton_metrics=metrics)
    launch = triton(spec, generation, directory=folder, shared_memory=f"benchmark-{http}-")
    models = machinery.start(f"{name}-triton", launch.command, launch.variables, f"http://127.0.0.1:{http}")
    machinery.await_ready(f"{models.url}/v2/models/{DIGITS.name}/ready", models)

    python = environment.path / "bin" / "python"
    variables = {
        **commands.scorer_variables(spec.told),
        "PATH": f"{python.parent}:{os.defpath}",
        "AML_APP_ROOT": str(SCRIPTS),
        "AZUREML_ENTRY_SCRIPT": "score_triton_async.py",
        "TRITON_HTTP_PORT": str(http),
        "BENCHMARK_MODEL": DIGITS.name,
        "BENCHMARK_FILE": str(DIGITS.file),
        "BENCHMARK_INPUT": DIGITS.input,
        "BENCHMARK_OUTPUT": DIGITS.output,
        "BENCHMARK_SHAPE": ",".join(map(str, DIGITS.shape)),
    }
    words = commands.scorer_command(python=str(python), host="127.0.0.1", port=scoring)
    scorer = machinery.start(f"{name}-scorer", words, variables, f"http://127.0.0.1:{scoring}")
    machinery.await_ready(f"{scorer.url}/", scorer)

    options = Options(
        Upstreams(Triton(loopback(http), loopback(grpc), loopback(metrics)), loopback(scoring)),
        str(folder / "envoy"),
        listen=loopback(port),
        stats=loopback(stats),
        traces=traces_of(spec.variables, "benchmark"),
    )
    keys = envoy_files.render_keys(Keys(primary=KEY, secondary=KEY[::-1]))
    envoy_folder.install(folder / "envoy", envoy_files.render(options) | keys)
    command = envoy_command.command(f"{options.directory}/{envoy_files.BOOTSTRAP_FILE}")
    door = machinery.start(f"{name}-envoy", command, {"PATH": os.defpath}, f"http://127.0.0.1:{port}")
    machinery.await_ready(f"{door.url}/v2/health/ready", door, HEADERS)
    return Service(door.url, (door, scorer, models), machinery.folder)


def _measure(service: Service, path: str, body: Path, arguments: argparse.Namespace) -> dict[str, float]:
    before = service.cpu_seconds()
    request = load.Request(f"{service.url}{path}", body, HEADERS)
    done = load.run(request, concurrency=arguments.concurrency, seconds=arguments.seconds)
    if done.refused or done.broken or not done.requests:
        said = f"{done.refused} refused, {done.broken} broken of {done.requests}"
        raise RuntimeError(f"{service.parts[0].name}, {path}: {said}{service.ended() or '; try more seconds'}")
    took = {name: 1e6 * (now - before[name]) / done.requests for name, now in service.cpu_seconds().items()}
    return {
        "processor time per request, us": sum(took.values()),
        **{f"of it {name}": each for name, each in took.items()},
        "requests per second": done.requests / done.seconds,
        "p50, ms": done.p50_ms,
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--kinds", nargs="+", default=[*BARE, "1 %"], choices=list(KINDS), metavar="KIND")
    arguments = parser.parse_args()
    environment = _environment(PROJECT / ".var")
    with tempfile.TemporaryDirectory(dir=PROJECT / ".var") as temporary:
        folder = Path(temporary)
        paths = {"/score": folder / "scored", f"/v2/models/{DIGITS.name}/infer": folder / "inferred"}
        for file, content in zip(paths.values(), (DIGITS.scoring_json(), DIGITS.triton_json()), strict=True):
            file.write_bytes(content)
        repository = folder / "models" / "triton"
        version = repository / DIGITS.name / "1"
        version.mkdir(parents=True)
        shutil.copy(DIGITS.file, version / "model.onnx")
        with Machinery(folder, environment, Path()) as machinery:
            collector = answering_server(machinery).port
            services = {kind: _service(machinery, repository, KINDS[kind], collector) for kind in arguments.kinds}
            for path, body in paths.items():
                _compare(services, path, body, arguments)


def _compare(services: dict[str, Service], path: str, body: Path, arguments: argparse.Namespace) -> None:
    rounds: list[dict[str, dict[str, float]]] = []
    for turn in range(-1, arguments.rounds):
        order = list(services)[:: -1 if turn % 2 else 1]
        measured = {kind: _measure(services[kind], path, body, arguments) for kind in order}
        if turn >= 0:  # the first one warms up
            rounds.append(measured)
    bare, *traced = services
    for what in [what for what, found in rounds[0][bare].items() if found]:
        print(f"{path}: {what}: {statistics.median(found[bare][what] for found in rounds):,.3g} with {bare}")
        for kind in traced:
            ratios = [found[kind][what] / found[bare][what] for found in rounds]
            median = statistics.median(found[kind][what] for found in rounds)
            print(
                f"    {kind}: {median:,.3g}; ratio {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f})"
            )


if __name__ == "__main__":
    main()
