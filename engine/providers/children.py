"""Child processes that never outlive the engine, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.errors import EngineError

# A child becomes its program only once it is announced to the guard; should the engine die before, it reads the end of
# its input and ends. (A function to run between fork and exec would do, were it safe with threads.)
_WAIT_FOR_GO = 'read -r go && exec "$@" </dev/null'


class Children:
    """The engine's child processes, each the leader of a process group of its own.

    A guard, forked before anything else, holds the far end of a pipe: when the engine is gone, the pipe ends, and the
    guard kills the groups that were announced through it. Make it before any thread starts.
    """

    def __init__(self) -> None:
        reader, self._announce = os.pipe()
        self._guard = os.fork()
        if self._guard == 0:
            os.close(self._announce)
            _guard(reader)
        os.close(reader)
        self._children: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
        descriptors: Sequence[int] = (),
    ) -> Child:
        """Start a program.

        Args:
            command: The program and its arguments.
            folder: The working directory.
            environment: The environment variables.
            on_line: Gets each line that the program writes to stderr, and to stdout after `first_line`.
            descriptors: The file descriptors that the program inherits, besides the standard ones.

        Raises:
            EngineError: The children were killed, and no more may start.
        """
        with self._lock:
            if self._closed:
                raise EngineError("The operation was stopped.")
            process = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT_FOR_GO, "sh", *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=descriptors,
            )
            self._children.append(process)
            os.write(self._announce, f"{process.pid}\n".encode())
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write("go\n")
        return Child(process, on_line)

    def kill(self) -> None:
        """Kill every child and its group at once, and refuses to start more."""
        with self._lock:
            self._closed = True
            for process in self._children:
                _signal_group(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End every child and its group: by SIGTERM, and two seconds later by SIGKILL."""
        with self._lock:
            children, self._children = self._children, []
        for process in children:
            _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 2
        for process in children:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        """End every child, and then the guard."""
        self.stop()
        os.close(self._announce)
        os.waitpid(self._guard, 0)


class Child:
    """One running child process."""

    def __init__(self, process: subprocess.Popen[str], on_line: Callable[[str], None]) -> None:
        self.process = process
        self._on_line = on_line
        assert process.stdout is not None
        assert process.stderr is not None
        self._stdout = process.stdout
        self._readers = [threading.Thread(target=self._read, args=(process.stderr,), daemon=True)]
        self._readers[0].start()

    def first_line(self) -> str:
        """Read the first line of stdout. Call it once, before `follow`.

        Returns:
            The line, empty when the process ended without one.
        """
        return self._stdout.readline().strip()

    def follow(self) -> None:
        """Pass what the process goes on to write to stdout to `on_line`."""
        thread = threading.Thread(target=self._read, args=(self._stdout,), daemon=True)
        self._readers.append(thread)
        thread.start()

    def _read(self, stream: IO[str]) -> None:
        with suppress(ValueError):
            for line in stream:
                self._on_line(line.rstrip("\n"))

    def wait(self) -> int:
        """Wait for the end of the process and of its output.

        Returns:
            The exit status, -N for signal N.
        """
        status = self.process.wait()
        for reader in self._readers:
            reader.join(2)
        return status

    def kill(self) -> None:
        """Kill the process and its group at once."""
        _signal_group(self.process.pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _guard(reader: int) -> None:
    """Return the guard's whole life, in the forked process."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    announced = b""
    try:
        while chunk := os.read(reader, 4096):
            announced += chunk
        for pid in announced.split():
            _signal_group(int(pid), signal.SIGKILL)
    finally:
        os._exit(0)
