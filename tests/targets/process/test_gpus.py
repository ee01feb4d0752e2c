"""GPUs on the `process` target: who sees which, and that models run on them. No GPU is needed here."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from settings.service_groups import Limits, Resources, RolloutPlan
from targets.process import programs
from targets.process.generation_probe import GenerationProbe
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Supervisor
from targets.served import EntryScript
from tests.troubleshooting import quoted

BACKEND = Path(__file__).resolve().parents[3] / "targets" / "process" / "backends" / "onnxruntime"


def visible(gpu_cores: int, **variables: str) -> list[str]:
    """What Triton's process and the scorer's get as CUDA_VISIBLE_DEVICES."""
    spec = ServiceSpec(
        service_name="web",
        owner="o",
        resources=Resources(gpu_cores=gpu_cores),
        limits=Limits(),
        rollout=RolloutPlan(drain_seconds=30),
        state_directory=Path("/state"),
        bundles=(),
        environment_path=Path("/environment"),
        environment_digest="e",
        entry_script=EntryScript(source_directory=Path("/source"), file="score.py", digest="s"),
        variables=variables,
    )
    generation = Generation(number=1, digest="d", triton_http=1, triton_grpc=2, triton_metrics=3, scorer=4)
    launches = (
        programs.triton(spec, generation, directory=Path("/g"), shared_memory="s-"),
        programs.scorer(
            spec, generation, source_directory=Path("/g"), model_directory=Path("/m"), probe=Path("/g/probe.json")
        ),
    )
    return [launch.variables["CUDA_VISIBLE_DEVICES"] for launch in launches]


@pytest.mark.parametrize(
    ("gpu_cores", "own", "seen"),
    [
        (0, None, ""),
        (0, "3", ""),
        (1, None, "0"),
        (2, None, "0,1"),
        (2, "3,1,2", "3,1"),
        (1, "GPU-1a,GPU-2b", "GPU-1a"),
    ],
)
def test_processes_see_as_many_gpus_as_the_service_has(
    monkeypatch: pytest.MonkeyPatch, gpu_cores: int, own: str | None, seen: str
) -> None:
    monkeypatch.setattr(programs, "triton_in", lambda path: _Server())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if own is not None:
        assert visible(gpu_cores, CUDA_VISIBLE_DEVICES=own) == [seen, seen]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", own)
    assert visible(gpu_cores) == [seen, seen]


class _Server:
    server, backend_directory, cache_directory = Path("/tritonserver"), Path("/backends"), Path("/caches")
    library_path = "/libs"


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[Any]:
    """Probe a Triton that is ready and gives its models' instances the kinds of a test's choice."""
    kinds: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("/")[3]
            body = json.dumps({"instance_group": [{"kind": kinds[name]}]} if self.path.endswith("/config") else {})
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    directory = ServiceDirectory.of(tmp_path, "web")
    folder = directory.generation(1)
    folder.mkdir(parents=True)

    def probe(gpu_cores: int, **wanted: str) -> list[str]:
        kinds.update(wanted)
        models = [{"name": name, "version": 1, "golden": None} for name in wanted]
        asked = {"url": f"http://127.0.0.1:{server.server_port}", "models": models}
        (folder / "probe.json").write_text(
            json.dumps({"triton": asked, "scorer": None, "resources": {"gpuCores": gpu_cores}})
        )
        generation = Generation(number=1, digest="d")
        probe = GenerationProbe(Supervisor(directory), generation, directory, log=lambda name: tmp_path / name)
        return [problem.text for problem in probe.problems()]

    yield probe
    server.shutdown()
    server.server_close()


def test_a_service_with_gpus_has_a_model_on_one(probed: Any) -> None:
    assert probed(0, a="KIND_CPU") == []
    assert probed(1, a="KIND_CPU", b="KIND_GPU") == []
    (problem,) = probed(1, a="KIND_CPU", b="KIND_CPU")
    assert problem.startswith("deployment.gpuCores is 1, and Triton runs every model on the CPU: it sees no GPU")
    quoted(problem, "process", 9)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The backend's module of sessions, on an ONNX Runtime whose providers a test chooses."""
    monkeypatch.syspath_prepend(str(BACKEND))
    import backend_session

    yield backend_session
    for name in ("backend_session", "backend_config"):
        sys.modules.pop(name, None)


def test_an_instance_on_a_gpu_asks_for_cuda_and_one_on_the_cpu_does_not(session: Any) -> None:
    assert session.execution_providers({}, "CPU", 0) == ["CPUExecutionProvider"]
    assert session.execution_providers({}, "GPU", 1) == [
        ("CUDAExecutionProvider", {"device_id": "1"}),
        "CPUExecutionProvider",
    ]


def test_an_instance_on_a_gpu_fails_where_cuda_is_not_active(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        active = ("CPUExecutionProvider",)

        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return list(self.active)

    on_gpu = session.execution_providers({}, "GPU", 0)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(session.BackendError, match="install onnxruntime-gpu in place of onnxruntime"):
        session.load_session(Path("model.onnx"), None, on_gpu)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(session.BackendError, match="no GPU is visible, or CUDA or cuDNN is missing"):
        session.load_session(Path("model.onnx"), None, on_gpu)
    Session.active = ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert session.load_session(Path("model.onnx"), None, on_gpu)
