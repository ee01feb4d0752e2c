"""A service that answers one key, the project whose stack deployed it, and the consumer beside them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.engine_path import engine_path

ROOT = Path(__file__).parents[2]
KEY = "k3y-of-the-service"
EMBEDDED: tuple[str, ...] = (sys.executable, "-m", "engine")
DEADLINE = 120  # seconds for one command of an engine

PRODUCER = """\
import pulumi

config = pulumi.Config()
pulumi.export("scoringUri", config.require("uri"))
pulumi.export("primaryKey", config.require_secret("key"))
pulumi.export("modelId", "triton_model:1")
"""


@dataclass
class Service:
    """An HTTP server in the place of the deployed one; it answers the last word of the context."""

    uri: str = ""
    questions: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.headers["Authorization"] == f"Bearer {KEY}"
            body = json.dumps(request["context"].split()[-1:] if known else {"error": "unknown key"}).encode()
            if known:
                made.questions.append(request["query"])
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.uri = f"http://127.0.0.1:{server.server_port}/score"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join(10)


@dataclass(frozen=True)
class Stacks:
    """Runs an engine's verbs in the producer's and in the consumer's project, which share one backend."""

    engine: tuple[str, ...]
    folder: Path
    environment: dict[str, str]

    def run(self, project: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.engine, "--cwd", str(self.folder / project), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )

    def must(self, project: str, *arguments: str) -> str:
        done = self.run(project, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def state(self) -> str:
        """The consumer's checkpoint, as it lies in the backend."""
        return (self.folder / "backend/.pulumi/stacks/triton-consumer/dev.json").read_text()


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Stacks:
    """A stack that exports the service, brought up by the embedded engine, for the tests to copy."""
    folder = tmp_path_factory.mktemp("stacks")
    (folder / "backend").mkdir()
    (folder / "producer").mkdir()
    (folder / "producer" / "Pulumi.yaml").write_text(_project("triton-serving"))
    (folder / "producer" / "__main__.py").write_text(PRODUCER)
    made = Stacks(EMBEDDED, folder, _environment(folder))
    made.must("producer", "stack", "init", "local")
    made.must("producer", "config", "set", "--stack", "local", "uri", service.uri)
    made.must("producer", "config", "set", "--stack", "local", "--secret", "key", KEY)
    made.must("producer", "up", "--stack", "local", "--yes", "--skip-preview")
    return made


@pytest.fixture(params=["embedded", "cli"])
def stacks(request: pytest.FixtureRequest, tmp_path: Path, producer: Stacks, service: Service) -> Stacks:
    """The producer's stack, and the consumer's, which is not up yet."""
    engine = EMBEDDED
    if request.param == "cli":
        if shutil.which("pulumi") is None:
            pytest.skip("Pulumi's CLI is not on PATH")
        engine = ("pulumi",)
    shutil.copytree(producer.folder, tmp_path, dirs_exist_ok=True)
    consumer = tmp_path / "consumer"
    shutil.copytree(ROOT / "examples" / "consumer", consumer, ignore=shutil.ignore_patterns("__pycache__"))
    (consumer / "Pulumi.yaml").write_text(_project("triton-consumer"))
    made = Stacks(engine, tmp_path, _environment(tmp_path))
    made.must("consumer", "stack", "init", "dev")
    service.questions.clear()
    return made


def _project(name: str) -> str:
    return json.dumps({"name": name, "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}})


def _environment(folder: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    return environment | {
        "PULUMI_BACKEND_URL": f"file://{folder}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": engine_path(),
    }
