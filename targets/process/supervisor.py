"""The supervisor of a service: supervisord, its configuration and its control socket.

One supervisord per service keeps the service's processes running and rotates their logs. Programs are files in
`programs/`; adding or removing one leaves the others alone. See supervisord's "Configuration File" and "XML-RPC API".
"""

import math
import os
import re
import shlex
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from common.atomic_files import write_whole
from common.waiting import shielded, wait_until
from targets.errors import ServiceError
from targets.process import family
from targets.process.service_folder import ServiceDirectory

__all__ = ["Process", "Supervisor", "check_path"]

LAUNCH = Path(__file__).with_name("launch.py")
_ANSWER_SECONDS = 30
_ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")  # what supervisord calls a process that does not run
STOP_SECONDS = 90  # a supervisor waits for its programs, and Triton for its requests

# What processes may inherit of the environment in which `up` runs: nothing that holds a secret.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

_SUPERVISORD = """\
[supervisord]
directory = {root}
pidfile = {pid_file}
logfile = {root}/logs/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 1
nocleanup = true
umask = 077

[unix_http_server]
file = {socket}
chmod = 0600

[supervisorctl]
serverurl = unix://{socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = programs/*.conf
"""

# Each try that ends within startsecs waits a second longer for the next: a hundred are more than an hour, in which what
# a process needs may come.
_PROGRAM = """\
[program:{name}]
command = {command}
autostart = true
autorestart = true
startsecs = 1
startretries = 100
stopsignal = TERM
stopwaitsecs = {stop_seconds}
killasgroup = true
{logs}"""
_LOG = """\
{stream}_logfile = {log}
{stream}_logfile_maxbytes = 10MB
{stream}_logfile_backups = 3
"""


@dataclass(frozen=True)
class Process:
    """A supervised process: its state in supervisord's words (RUNNING, BACKOFF, FATAL, ...) and its process id or 0.

    `seconds`: how long it has run.
    """

    name: str
    state: str
    pid: int
    seconds: int


class Supervisor:
    """The supervisord of one service."""

    def __init__(self, directory: ServiceDirectory, owner: str = "") -> None:
        self.directory = directory
        record = directory.record()
        self._owner = record.owner if record else owner

    def is_running(self) -> bool:
        """Tell whether the supervisor answers."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self, *, keep: str = "") -> bool:
        """Start the supervisor unless it runs; returns whether it had to be started.

        After a reboot or a killed supervisor nothing of the old programs runs, and what a moved or a deleted folder
        left behind is ended. `keep` is the program that starts again at once; whoever deploys adds the others anew.
        """
        if self._is_here() and self.is_running():
            return False
        self.stop()
        check_path(self.directory)
        for program in self.directory.programs.glob("*.conf"):
            if program.stem != keep:
                program.unlink()
        self.run()
        return True

    def run(self) -> None:
        """Run the supervisor, which starts every program that it knows."""
        root = self.directory.root
        write_whole(
            self._configuration,
            _SUPERVISORD.format(
                root=_value(root),
                socket=_value(self.directory.socket),
                pid_file=_value(self.directory.pid_file),
            ),
            mode=0o600,
        )
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)]
        started = subprocess.run(
            [*command, f"--identifier={self._owner}"],
            env=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if started.returncode != 0:
            raise ServiceError(f"supervisord did not start: {started.stdout.strip()}")
        if not wait_until(self.is_running, seconds=_ANSWER_SECONDS, every=0.05):
            raise ServiceError(f"supervisord did not answer on its socket within {_ANSWER_SECONDS} s")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop every process and the supervisor, by force what has not ended within `seconds`, and wait for their end.

        Raises `ServiceError` that names what does not end.
        """
        running = family.supervisor(self.directory.root, self._owner)
        if running is not None:
            children = running.children(recursive=True)
            left = family.end([running], seconds)
            # It has stopped its programs; what these started and left behind gets a moment more.
            left += family.end(psutil.wait_procs(children, timeout=5)[1], 0)
        else:
            left = []
        left += family.end(list(family.programs(self.directory.root)), seconds)
        if left:
            names = ", ".join(f"{process.pid} ({process.name()})" for process in left)
            raise ServiceError(f"service '{self.directory.name}': these processes do not end: {names}; kill them")

    @property
    def _configuration(self) -> Path:
        return self.directory.root / "supervisord.conf"

    def _is_here(self) -> bool:
        """Whether the supervisor was started in this folder while it had the path that it has now."""
        running = family.supervisor(self.directory.root, self._owner)
        return running is not None and str(self._configuration) in running.cmdline()

    def add(self, name: str, file: Path, *, log: Path, output: Path | None = None, stop_seconds: int) -> None:
        """Add a program, and start it.

        Args:
            name: Its name.
            file: The launch file that it runs.
            log: The log of what it writes.
            output: The log of its standard output, where that has one of its own.
            stop_seconds: How long it may take to end.
        """
        write_whole(
            self.directory.programs / f"{name}.conf",
            _PROGRAM.format(
                name=name,
                command=_value(shlex.join([sys.executable, *map(str, (LAUNCH, file, self.directory.pid_file))])),
                logs=_log("stdout", log, merged=True)
                if output is None
                else _log("stderr", log) + _log("stdout", output),
                stop_seconds=stop_seconds,
            ),
            mode=0o600,
        )
        self._call("reloadConfig")
        self._call("addProcessGroup", name)

    def remove(self, name: str) -> None:
        """Stop a program, if it runs, and forget it."""
        (self.directory.programs / f"{name}.conf").unlink(missing_ok=True)
        if name not in self.processes():
            return
        try:
            self._call("stopProcess", name, False)  # were it to wait, supervisord would use up a processor meanwhile
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith(("NOT_RUNNING", "BAD_NAME")):
                raise
        with shielded():
            wait_until(lambda: self._has_ended(name), seconds=math.inf, every=0.1)
        self._call("removeProcessGroup", name)

    def _has_ended(self, name: str) -> bool:
        process = self.processes().get(name)
        return process is None or process.state in _ENDED

    def restart(self, name: str) -> None:
        """Start a program again that has given up or stopped; a running one is left alone."""
        try:
            self._call("startProcess", name)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("ALREADY_STARTED"):
                raise ServiceError(f"{name} did not start: {fault.faultString}") from None

    def processes(self) -> dict[str, Process]:
        """Every program by its name; empty where the supervisor does not answer."""
        try:
            rows = self._call("getAllProcessInfo")
        except OSError:
            return {}
        return {row["name"]: _process(row) for row in rows}

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.directory.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport, allow_none=True)
        with proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def check_path(directory: ServiceDirectory) -> None:
    """Raise `ServiceError` where supervisord would read a comment, a new line or a pattern in a path it is told."""
    for path in (directory.root, LAUNCH, Path(sys.executable)):
        pattern = r"|[\[*?]" if path == directory.root else ""  # it looks for programs below
        if found := re.search(rf"\s[;#]|[\r\n]{pattern}", str(path)):
            raise ServiceError(
                f"{path} contains {found[0]!r}, which has a meaning to supervisord; choose another folder for "
                "stateDirectory, or for this project"
            )


def _log(stream: str, log: Path, *, merged: bool = False) -> str:
    """Configure where a stream goes, and with `merged` the other one too."""
    text = _LOG.format(stream=stream, log=_value(_value(log)))  # it is expanded twice
    return f"redirect_stderr = true\n{text}" if merged else text


def _value(text: object) -> str:
    """Escape a value of supervisord's configuration, in which `%` begins an expansion."""
    return str(text).replace("%", "%%")


def _process(row: dict[str, Any]) -> Process:
    seconds = row["now"] - row["start"] if row["pid"] else 0
    return Process(name=row["name"], state=row["statename"], pid=row["pid"], seconds=seconds)
