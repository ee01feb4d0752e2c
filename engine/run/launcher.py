"""Runs the project's program, in processes forked from one that has imported what every run needs."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from engine.errors import EngineError
from engine.providers.children import Child, Children
from engine.state.project import Project

_SCRIPT = Path(__file__).with_name("program.py")


class Launcher:
    """Starts runs of the program, one at a time.

    Its process, `program.py`, starts with the launcher, so that the imports go on while the engine reads the state.
    """

    def __init__(
        self, children: Children, project: Project, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        self._main = project.main
        self._on_line = on_line
        self._child: Child | None = None
        if not self._is_there():
            return
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-u", str(_SCRIPT), str(theirs.fileno()), str(self._main), *project.preload]
            self._child = children.start(command, project.folder, environment, on_line, descriptors=(theirs.fileno(),))
        self._child.follow()

    def _is_there(self) -> bool:
        return self._main.is_file() or (self._main / "__main__.py").is_file()

    def run(self, options: Mapping[str, Any]) -> Run:
        """Start a run of the program.

        Args:
            options: The arguments of the SDK's `Settings`, and the configuration.

        Raises:
            EngineError: The program is missing.
        """
        if self._child is None:
            raise EngineError(f"The project's program '{self._main / '__main__.py'}' is missing.")
        ends = [os.pipe(), os.pipe()]
        with suppress(OSError):  # the process has ended, and its exit status is the run's
            request = f"{json.dumps(options)}\n".encode()
            sent = socket.send_fds(self._control, [request], [writer for _, writer in ends])
            self._control.sendall(request[sent:])
        for _, writer in ends:
            os.close(writer)
        return Run(self._child, self._control, [reader for reader, _ in ends], self._on_line)

    def close(self) -> None:
        """Let the process end, when it has nothing to run."""
        if self._child is not None:
            self._control.close()


class Run:
    """One run of the program; its lines go to `on_line`."""

    def __init__(
        self, child: Child, control: socket.socket, readers: list[int], on_line: Callable[[str], None]
    ) -> None:
        self._child = child
        self._control = control
        self._on_line = on_line
        streams = [os.fdopen(reader, encoding="utf-8", errors="replace") for reader in readers]
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True) for stream in streams]
        for thread in self._readers:
            thread.start()

    def _read(self, stream: IO[str]) -> None:
        with suppress(ValueError), stream:
            for line in stream:
                self._on_line(line.rstrip("\n"))

    def wait(self) -> int:
        """Wait for the end of the run and of its output.

        Returns:
            The exit status, -N for signal N.
        """
        text = b""
        with suppress(OSError):
            while not text.endswith(b"\n") and (more := self._control.recv(64)):
                text += more
        status = int(text) if text else self._child.wait() or 1
        for reader in self._readers:
            reader.join(2)
        return status

    def kill(self) -> None:
        """Kill the run, and the process that it was forked from."""
        self._child.kill()
