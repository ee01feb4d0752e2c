"""Runs servers: ours, the peer (Azure's `azureml-inference-server-http`) and Triton."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from serving.command import SERVER
from tests.waiting import eventually

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 40.0
# One for all requests (each new client would read the machine's certificates), but a connection for each.
HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
STOP_SECONDS = 20.0


@dataclass
class Server:
    """One running server, and the folder with its output."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout.log").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr.log").read_text(errors="replace")

    def get(self, path: str, **options: object) -> httpx.Response:
        return HTTP.get(self.url + path, **options)  # type: ignore[arg-type]

    def score(self, content: str | bytes = "{}", **options: object) -> httpx.Response:
        return HTTP.post(self.url + "/score", content=content, **options)  # type: ignore[arg-type]

    def metric(self, name: str) -> float:
        """Read the value of one line of /metrics."""
        lines = self.get("/metrics").text.splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))

    def children(self) -> list[psutil.Process]:
        """List its processes: the front process, then the workers."""
        return psutil.Process(self.process.pid).children()

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Stop it, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(STOP_SECONDS)


def answers(url: str) -> bool:
    try:
        return HTTP.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def command(python: Path, port: int, script: Path, *, peer: bool = False) -> list[str]:
    """Write the command line of a server."""
    if peer:
        return [str(python), "-m", "azureml_inference_server_http", "--port", str(port), "--entry_script", str(script)]
    return [str(python), *SERVER, "--host", "127.0.0.1", "--port", str(port), "--entry_script", str(script)]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the variables that a server under test starts with."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT), **(variables or {})}


@contextmanager
def running(
    arguments: Sequence[str], port: int, folder: Path, variables: Mapping[str, str] | None = None, path: str = "/"
) -> Iterator[Server]:
    """Start a server, wait until it answers, and stop it at the end."""
    with spawned(arguments, port, folder, variables) as server:
        eventually(
            lambda: server.process.poll() is not None or answers(server.url + path), "the server's start", START_SECONDS
        )
        assert server.process.poll() is None, f"the server ended:\n{server.stdout}\n{server.stderr}"
        yield server


@contextmanager
def spawned(
    arguments: Sequence[str], port: int, folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server that may not answer yet, and stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stdout.log").open("wb") as stdout, (folder / "stderr.log").open("wb") as stderr:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment(variables), stdout=stdout, stderr=stderr, start_new_session=True
        )
    server = Server(process, port, folder)
    try:
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
