"""What outlives a killed supervisor: a watch that starts it again, and the systemd unit that runs the watch.

The watch takes no part in what `up` and `destroy` do: it holds the service's lock while it starts a supervisor, and
starts none where no service lives.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psutil

from common.atomic_files import write_whole
from common.errors import UserError
from targets.contract import Stack
from targets.errors import ServiceError
from targets.process import family
from targets.process.service_folder import ServiceDirectory
from targets.process.supervisor import Supervisor

__all__ = ["unit", "watch", "write_unit"]

LOOK_SECONDS = 1.0

_UNIT = """\
[Unit]
Description=Triton serving: the service of the stack {stack}
StartLimitIntervalSec=0

[Service]
WorkingDirectory={folder}
ExecStart={python} -m operate keep --stack {stack}
Restart=always
RestartSec=1
# What the watch has started belongs to make destroy, not to the unit.
KillMode=process

[Install]
WantedBy=default.target
"""


def watch(stack: Callable[[], Stack], say: Callable[[str], object]) -> NoReturn:
    """Start the service's supervisor whenever it does not run.

    `stack` reads the stack's file, which may change, and for a moment be wrong, while this goes on.
    """
    directory: ServiceDirectory | None = None
    running: psutil.Process | None = None
    while True:
        if running is None or not _lives(running):
            directory = directory if directory is not None and directory.is_there else _directory(stack)
            try:
                running = _restored(directory, say) if directory is not None else None
            except ServiceError as error:
                say(str(error))
        time.sleep(LOOK_SECONDS)


def _directory(stack: Callable[[], Stack]) -> ServiceDirectory | None:
    try:
        found = stack()
    except UserError:
        return None
    return ServiceDirectory.of(found.state_directory, found.settings.service_name)


def _restored(directory: ServiceDirectory, say: Callable[[str], object]) -> psutil.Process | None:
    """Find the supervisor that runs, started where it does not; none where no service lives."""
    if not directory.is_there:
        return None
    with directory.locked():
        record = directory.record()
        if record is None or record.current is None or record.root not in ("", str(directory.root)):
            return None  # nothing was deployed here, or its files have paths of a folder that it was moved from
        found = family.supervisor(directory.root, record.owner)
        if found is not None:
            return found
        supervisor = Supervisor(directory)
        supervisor.stop()  # what ends with a killed supervisor takes a moment
        supervisor.run()
        say(f"the supervisor of {directory.name} did not run: started again")
        return family.supervisor(directory.root, record.owner)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def unit(project: Path, stack: str) -> str:
    """Write the text of the unit that watches over a stack's service."""
    python = str(project / ".venv" / "bin" / "python")
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "$$"), ("%", "%%")):
        python = python.replace(plain, escaped)
    return _UNIT.format(stack=stack, folder=str(project).replace("%", "%%"), python=f'"{python}"')


def write_unit(project: Path, stack: str, say: Callable[[str], object]) -> int:
    """Write the unit where systemd looks for this user's, and tell what starts it; gives an exit code.

    Raises `ServiceError` where another folder has a unit of that name.
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    file = home / "systemd" / "user" / f"triton-serving-{stack}.service"
    text = unit(project, stack)
    if file.is_file() and f"WorkingDirectory={_folder(text)}\n" not in file.read_text():
        raise ServiceError(f"{file} is the unit of another folder, {_folder(file.read_text())}; remove it first")
    write_whole(file, text)
    say(f"{file} is written. To start it, now and at each login:")
    say(f"  systemctl --user daemon-reload && systemctl --user enable --now {file.stem}")
    say("To have it start with the machine, without a login:")
    say("  loginctl enable-linger")
    return 0


def _folder(text: str) -> str:
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith("WorkingDirectory=")), "")
