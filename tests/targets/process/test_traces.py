"""One request has one trace: spans of a real Envoy, scorer and Triton, at a collector that may be down or hang."""

from __future__ import annotations

import json
import queue
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from bundle.layout import check_layout
from bundle.registry import Registry
from environment.curated_clone import declared_environment
from environment.source_digest import digest_of
from environment.venv import BuiltEnvironment
from gateway.keys import make_key
from gateway.otel_variables import traces_of
from settings.requirements_file import pip_packages
from settings.schema import Environment
from settings.service_groups import Limits, Opening, Resources, RolloutPlan
from targets.machine.ports import free_ports
from targets.machine.specification import FrontDoorSpec
from targets.process import front_door, rollout
from targets.process import service as whole_service
from targets.process.service_folder import ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Supervisor
from targets.role import Role
from targets.served import EntryScript
from tests.built_environments import kept
from tests.certificates import Authority
from tests.otlp_sink import Sink, check_times, collector, sampled
from tests.targets.process.conftest import OWNER, PROJECT, registered
from tests.traced import TRIES, comes_whole
from tests.waiting import eventually

KEY, OTHER_KEY = make_key(), make_key()
MEASUREMENTS = np.ones((1, 13), np.float32)
SERVER, CLIENT = 2, 3  # kinds of spans
EXPORT_SECONDS = 5  # the least time limit of an export
TRITONS = {"InferRequest", "wine", "compute"}

SCRIPTS = {
    "sync": """
        import json

        import numpy as np
        import tritonclient.grpc
        import tritonclient.http
        from opentelemetry import trace

        tracer = trace.get_tracer("script")
        http = tritonclient.http.InferenceServerClient("localhost:8000")
        grpc = tritonclient.grpc.InferenceServerClient("localhost:8001")


        def init():
            pass


        def run(data):
            asked = json.loads(data)
            if asked["how"] == "fail":
                raise KeyError("a secret of the client's")
            client, module = (grpc, tritonclient.grpc) if asked["how"] == "grpc" else (http, tritonclient.http)
            tensor = module.InferInput("measurements", [1, 13], "FP32")
            tensor.set_data_from_numpy(np.ones((1, 13), np.float32))
            with tracer.start_as_current_span("own"):
                if asked["how"] == "later":
                    answer = client.async_infer("wine", [tensor]).get_result()
                else:
                    answer = client.infer("wine", [tensor])
            return answer.as_numpy("cultivar").tolist()
    """,
    "async": """
        import json

        import numpy as np
        from opentelemetry import trace
        from serving.triton import Triton

        tracer = trace.get_tracer("script")
        triton = Triton()


        async def init():
            pass


        async def run(data):
            asked = json.loads(data)
            if asked["how"] == "fail":
                raise KeyError("a secret of the client's")
            with tracer.start_as_current_span("own"):
                outputs = await triton.infer("wine", {"measurements": np.ones((1, 13), np.float32)})
            return outputs["cultivar"].tolist()
    """,
}


@dataclass(frozen=True)
class Traced:
    """A running service whose requests have traces."""

    folder: Path
    environment: BuiltEnvironment
    port: int
    sink: Sink
    variables: dict[str, str]

    def up(self, script: str, **variables: str) -> None:
        """Serve a script with these variables beside those of every test, and open the front door."""
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "score.py").write_text(dedent(SCRIPTS[script]))
        models = check_layout(self.folder / "models", target="process")
        spec = ServiceSpec(
            **self._common,
            bundles=(registered(Registry(str(self.folder / "registry")), models, "Multi"),),
            environment_path=self.environment.path,
            environment_digest=self.environment.digest,
            variables=self._given(variables),
            entry_script=EntryScript(source_directory=source, file="score.py", digest=digest_of(source)),
            rollout=RolloutPlan(deadline_seconds=240, drain_seconds=5),
        )
        rollout.apply(spec, print)
        self.open_door(**variables)

    def open_door(self, **variables: str) -> None:
        """Open the front door as these variables say; the sampler's are for it alone."""
        front_door.apply(
            FrontDoorSpec(
                **self._common,
                shape=(Role.TRITON, Role.SCORER),
                opening=Opening(port=self.port, access_log=True),
                primary_key=SecretStr(KEY),
                secondary_key=SecretStr(OTHER_KEY),
                traces=traces_of(self._given(variables), "web"),
            )
        )

    @property
    def _common(self) -> dict[str, Any]:
        return {
            "service_name": "web",
            "owner": OWNER,
            "state_directory": self.folder / "state",
            "limits": Limits(),
            "resources": Resources(),
        }

    def _given(self, variables: dict[str, str]) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url, **self.variables, **variables}

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {KEY}", **headers}
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=sent, timeout=30)

    def score(self, how: str = "http", **headers: str) -> httpx.Response:
        return self.post("/score", {"how": how}, **headers)

    def infer(self, **headers: str) -> httpx.Response:
        data = {"name": "measurements", "datatype": "FP32", "shape": [1, 13], "data": [1.0] * 13}
        return self.post("/v2/models/wine/infer", {"inputs": [data]}, **headers)

    def log_lines(self) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in (self.folder / "state").rglob("*access*.log")]
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture(scope="module")
def environment() -> BuiltEnvironment:
    """The environment of a service with traces, as the settings make it."""
    asked = Environment(variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    packages = [*pip_packages(asked), "tritonclient[grpc]==2.73.0"]
    return kept(declared_environment("Traces", asked.name, packages), "traces-tests")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, environment: BuiltEnvironment) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    shutil.copytree(PROJECT / "model_repository" / "triton" / "wine", folder / "models" / "triton" / "wine")
    (port,) = free_ports(1)
    with collector() as sink:
        try:
            yield Traced(folder, environment, port, sink, {"OTEL_RESOURCE_ATTRIBUTES": "team=risk,place=the%20cellar"})
        finally:
            whole_service.remove(folder / "state", "web", OWNER)


SCORED = ("score", "POST /score", "queue", "run", "own", "infer wine", *TRITONS)


@pytest.mark.parametrize(("script", "ways"), [("sync", ("http", "grpc", "later")), ("async", ("http",))])
def test_a_scored_request_has_one_trace_from_the_door_to_the_model(
    traced: Traced, script: str, ways: tuple[str, ...]
) -> None:
    traced.up(script)
    for how in ways:
        trace, parent, headers = sampled()
        began = time.time_ns()
        assert traced.score(how, **headers).status_code == 200
        spans = traced.sink.trace(trace, *SCORED)
        assert len(traced.sink.of(trace)) == len(SCORED)
        assert spans["score"].parent == parent
        assert began - 1e6 <= spans["score"].start
        check_times(
            spans,
            ("POST /score", "score"),
            ("queue", "POST /score"),
            ("run", "POST /score"),
            ("own", "run"),
            ("infer wine", "own"),
            ("InferRequest", "infer wine"),
            ("wine", "InferRequest"),
            ("compute", "wine"),
        )
        assert spans["queue"].end == spans["run"].start
        assert {name: span.service for name, span in spans.items()} == {
            "score": "web-door",
            **dict.fromkeys(("POST /score", "queue", "run", "own", "infer wine"), "web-scorer"),
            **dict.fromkeys(TRITONS, "web-triton"),
        }
        assert (spans["score"].kind, spans["POST /score"].kind, spans["infer wine"].kind) == (
            SERVER,
            SERVER,
            CLIENT,
        )
        assert all(span.resource["team"] == "risk" for span in spans.values())
        assert all(span.resource["place"] == "the cellar" for span in (spans["score"], spans["run"]))
        assert spans["POST /score"].attributes["http.response.status_code"] == 200
    assert traced.sink.paths == {"/v1/traces"}


def test_an_inference_over_http_and_over_grpc_has_one_trace(traced: Traced) -> None:
    traced.up("async")
    trace, parent, headers = sampled()
    assert traced.infer(**headers).status_code == 200
    spans = traced.sink.trace(trace, "infer", *TRITONS)
    assert spans["infer"].parent == parent
    assert spans["infer"].attributes["http.url"] == "/v2/models/wine/infer"
    check_times(spans, ("InferRequest", "infer"), ("wine", "InferRequest"), ("compute", "wine"))

    client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{traced.port}")
    tensor = tritonclient.grpc.InferInput("measurements", [1, 13], "FP32")
    tensor.set_data_from_numpy(MEASUREMENTS)
    for _ in range(TRIES):
        trace, parent, headers = sampled()
        client.infer("wine", [tensor], headers={**headers, "authorization": f"Bearer {KEY}"})
        if comes_whole(traced.sink, trace, {"grpc_infer", *TRITONS}):
            break
    spans = traced.sink.trace(trace, "grpc_infer", *TRITONS)
    assert spans["grpc_infer"].parent == parent
    assert spans["grpc_infer"].attributes["grpc.status_code"] == "0"
    check_times(spans, ("InferRequest", "grpc_infer"), ("wine", "InferRequest"), ("compute", "wine"))

    trace, parent, headers = sampled()
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put(error), headers={**headers, "authorization": f"Bearer {KEY}"})
    for _ in range(2):
        client.async_stream_infer("wine", [tensor])
    assert [answers.get(timeout=30) for _ in range(2)] == [None, None]
    client.stop_stream()
    stream = traced.sink.trace(trace, "grpc_stream_infer", *TRITONS)["grpc_stream_infer"]
    eventually(lambda: [span.parent for span in traced.sink.of(trace)].count(stream.id) == 2)


def test_the_door_decides_also_against_the_flag_that_triton_ignores(traced: Traced) -> None:
    traced.up("async")
    traced.open_door(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    before = len(traced.sink.spans)
    unsampled, chosen = uuid4().hex, sampled()
    for ask in (traced.infer, traced.score):
        assert ask().status_code == 200
        assert ask(traceparent=f"00-{unsampled}-{'1' * 16}-00").status_code == 200
        assert ask(traceparent="nonsense-01").status_code == 200
        assert ask(traceparent=f"00-{'0' * 32}-{'1' * 16}-01").status_code == 200
    assert traced.infer(**chosen[2]).status_code == 200
    assert traced.score(**chosen[2]).status_code == 200
    traced.sink.trace(chosen[0], "infer", *SCORED)
    others = [span for span in traced.sink.spans[before:] if span.trace != chosen[0]]
    assert not others, f"no client and not the door asked for these: {others}"


def test_with_traceidratio_no_client_decides(traced: Traced) -> None:
    traced.up("async")
    traced.open_door(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    before = len(traced.sink.spans)
    traces = [sampled() for _ in range(60)]
    for _trace, _parent, headers in traces:
        assert traced.infer(**headers).status_code == 200
    _await_all(traced)
    by_trace: dict[str, set[str]] = {}
    for span in traced.sink.spans[before:]:
        by_trace.setdefault(span.trace, set()).add(span.name)
    assert 10 < len(by_trace) < 50
    assert all(names == {"infer", *TRITONS} for names in by_trace.values())


def _await_all(traced: Traced) -> None:
    """Wait until the parts have sent what they had: each does so every few seconds."""
    count = -1
    while count != len(traced.sink.spans):
        count = len(traced.sink.spans)
        time.sleep(7)  # Envoy's and Triton's interval is 5 s


def test_only_inference_has_traces_and_each_line_of_the_log_its_trace_id(traced: Traced) -> None:
    traced.up("async")
    before = len(traced.sink.spans)
    authorized = {"Authorization": f"Bearer {KEY}"}
    for path in ("/", "/v2", "/v2/health/ready", "/v2/models/wine", "/swagger.json", "/nothing"):
        httpx.get(f"http://127.0.0.1:{traced.port}{path}", headers=authorized, timeout=10)
    trace, _, headers = sampled()
    url = f"http://127.0.0.1:{traced.port}/score?token=secret"
    httpx.post(url, json={"how": "fail"}, headers={**authorized, **headers}, timeout=10)
    spans = traced.sink.trace(trace, "score", "POST /score", "run")
    assert {span.trace for span in traced.sink.spans[before:]} == {trace}
    assert spans["run"].attributes["error.type"] == "KeyError"
    assert spans["run"].status == spans["POST /score"].status == 2
    assert "secret" not in str([vars(span) for span in spans.values()]), "a span has what only the client may know"
    line = traced.log_lines()[-1]
    assert line["traceId"] == trace


def test_a_refused_request_has_the_doors_span_alone(traced: Traced) -> None:
    traced.up("async")
    trace, parent, headers = sampled()
    answer = httpx.post(f"http://127.0.0.1:{traced.port}/score", json={}, headers=headers, timeout=10)
    assert answer.status_code == 401
    spans = traced.sink.trace(trace, "score")
    assert [span.name for span in traced.sink.of(trace)] == ["score"]
    assert spans["score"].parent == parent
    assert spans["score"].attributes["http.status_code"] == "401"


def test_a_preloaded_script_has_traces_too(traced: Traced) -> None:
    traced.up("sync", WORKER_PRELOAD="true", WORKER_COUNT="2")
    for _ in range(4):
        trace, _, headers = sampled()
        assert traced.score(**headers).status_code == 200
        assert len(traced.sink.trace(trace, *SCORED)) == len(SCORED)


@pytest.mark.parametrize(("script", "trouble"), [("sync", "hanging"), ("async", "down")])
def test_a_collector_in_trouble_costs_no_request_and_no_stop(traced: Traced, script: str, trouble: str) -> None:
    """Every request has a trace here. A request that waited for an export would take as long as its time limit."""
    (closed,) = free_ports(1)
    service = ServiceDirectory.of(traced.folder / "state", "web")
    with collector() as sink:
        sink.hangs.set()
        broken = replace(traced, sink=sink if trouble == "hanging" else Sink(f"http://127.0.0.1:{closed}"))
        broken.up(script)
        took = []
        until = time.monotonic() + 12  # beyond the first exports and their time limits
        while time.monotonic() < until:
            for ask in (broken.infer, broken.score):
                began = time.perf_counter()
                assert ask().status_code == 200
                took.append(time.perf_counter() - began)
        assert trouble == "down" or sink.asked, "nobody has tried to send a span"
        Supervisor(service).stop()
    assert max(took) < EXPORT_SECONDS
    said = (service.logs / "supervisord.log").read_text()
    assert "SIGKILL" not in said, f"a program did not end in time: {said}"


def test_spans_go_by_tls_where_a_named_authority_vouches_for_the_collector(traced: Traced, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    with collector(certified=authority.issue((NameOID.COMMON_NAME, "collector"), host="127.0.0.1")) as sink:
        secure = replace(traced, sink=sink)
        secure.up("sync", OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority.file))
        trace, _, headers = sampled()
        assert secure.score(**headers).status_code == 200
        sink.trace(trace, *SCORED)
        secure.up("sync")  # nobody vouches for it
        seen = len(sink.spans)
        assert secure.score(**sampled()[2]).status_code == 200
        _await_all(secure)
        assert len(sink.spans) == seen
