"""Instructions that Envoy executes for a request, counted by valgrind's callgrind: other work on the machine adds none.

All that is compared is a listener of one Envoy. Counted is its worker thread alone, and of that what runs in user
space: the kernel's part of a request, half of it and more, is not in these figures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import envoy_command
from targets.machine.ports import free_ports

__all__ = ["Asked", "Counter", "counting"]

START_SECONDS = 300.0
ANSWER_SECONDS = 30.0
_TOTALS = re.compile(rb"^totals: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A listener, and the headers that its requests have beside those that HTTP needs."""

    listener: dict[str, Any]
    headers: Mapping[str, str]


@dataclass
class Counter:
    """An Envoy under callgrind, and the port of each of its listeners."""

    folder: Path
    process: subprocess.Popen[bytes]
    asked: Mapping[str, Asked]
    ports: Mapping[str, int]
    _dumps: int = 0

    def measure(self, name: str, path: str, body: bytes, *, warm_up: int, requests: int) -> float:
        """Give the instructions of a request, after so many that warm up: a script is compiled with its first ones."""
        self._ask(name, path, body, warm_up)
        self._dump()
        self._ask(name, path, body, requests)
        return self._dump() / requests

    def _ask(self, name: str, path: str, body: bytes, count: int) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{header}: {value}" for header, value in self.asked[name].headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        with closing(socket.create_connection(("127.0.0.1", self.ports[name]), ANSWER_SECONDS)) as connection:
            for _ in range(count):
                connection.sendall(request)
                answer = b""
                while not answer.endswith(b"\r\n\r\n{}"):
                    part = connection.recv(65536)
                    answer += part
                    if not part or not answer.startswith(b"HTTP/1.1 200"[: len(answer)]):
                        raise RuntimeError(f"{name}: expected an answer with '{{}}', got {answer.decode()!r}")

    def _dump(self) -> int:
        """Give what the busiest thread has executed since the last call."""
        dump = ["callgrind_control", "--dump", str(self.process.pid)]
        subprocess.run(dump, check=True, capture_output=True, timeout=60)
        self._dumps += 1
        threads = list(self.folder.glob(f"callgrind.{self._dumps}-*"))
        most = max(int(found[1]) for thread in threads for found in _TOTALS.finditer(thread.read_bytes()))
        for thread in threads:
            thread.unlink()
        return most


@contextmanager
def counting(folder: Path, asked: Mapping[str, Asked], clusters: list[dict[str, Any]]) -> Iterator[Counter]:
    """Run an Envoy with these listeners under callgrind while the block does.

    Raises:
        RuntimeError: valgrind is not installed, or Envoy does not start.
    """
    if shutil.which("callgrind_control") is None:
        raise RuntimeError("valgrind is not on PATH; install it (Debian, Ubuntu: apt-get install valgrind)")
    admin, *ports = free_ports(len(asked) + 1)
    listeners = [
        {**each.listener, "name": name, "address": _address(port)}
        for port, (name, each) in zip(ports, asked.items(), strict=True)
    ]
    file = folder / "counted.json"
    resources = {"listeners": listeners, "clusters": clusters}
    file.write_text(json.dumps({"static_resources": resources, "admin": {"address": _address(admin)}}))
    command = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={folder}/callgrind"]
    command += envoy_command.command(str(file))
    with (folder / "counted.out").open("wb") as out, (folder / "counted.log").open("wb") as log:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=out, stderr=log)
        try:
            _await_ready(process, admin, folder / "counted.log")
            yield Counter(folder, process, asked, dict(zip(asked, ports, strict=True)))
        finally:
            process.kill()
            process.wait()


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _await_ready(process: subprocess.Popen[bytes], admin: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with closing(socket.create_connection(("127.0.0.1", admin), ANSWER_SECONDS)) as connection:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
                if connection.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"Envoy did not start under valgrind:\n{log.read_text(errors='replace')[-3000:]}")
