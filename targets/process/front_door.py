"""The front door of the `process` target: Envoy under the service's supervisor."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import psutil

from common.atomic_files import write_whole
from common.waiting import shielded
from gateway import envoy_command, envoy_files, envoy_folder, traffic_share
from gateway.front_door_options import Address, Candidate, Options, Tls, loopback
from targets.errors import ServiceError
from targets.machine.ports import free_ports, is_listening
from targets.machine.service_folder import METRICS_PORT, PORT
from targets.machine.specification import FrontDoorSpec
from targets.process import family, traffic
from targets.process.programs import Launch
from targets.process.service_folder import Record, ServiceDirectory
from targets.process.supervisor import Supervisor
from targets.state import Measured, State

__all__ = ["apply", "check_port", "measure", "remove"]

PROGRAM = "envoy"
LAUNCH = "envoy.launch"
DRAIN_SECONDS = 10
_OTHER_FILES = 256  # Envoy's own
_ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def apply(spec: FrontDoorSpec) -> int:
    """Open the front door or change it, without dropping a connection where Envoy allows; gives the metrics' port.

    Raises `ServiceError` when another process holds the port, `gateway.admin.AdminError` when Envoy refuses a file.
    """
    directory = ServiceDirectory.of(spec.state_directory, spec.service_name)
    with directory.locked():
        record = directory.record()
        if record is None or record.current is None:
            raise ServiceError(f"service '{spec.service_name}' does not run; there is nothing to open a door to")
        door = spec.opening
        check_port(directory, door.port, record.owner)
        if door.metrics_port is not None:
            check_port(directory, door.metrics_port, record.owner, METRICS_PORT)
        supervisor = Supervisor(directory)
        admin = traffic.admin(directory)
        alive = PROGRAM in supervisor.processes() and admin.is_ready()
        stats_port = door.metrics_port or record.stats_port
        if stats_port is None or not (alive or door.metrics_port):
            (stats_port,) = free_ports(1, preferred=[stats_port])
        record = record.model_copy(update={"door_owner": record.owner, "port": door.port, "stats_port": stats_port})
        directory.write_record(record)

        options = _options(spec, directory, record)
        changed = envoy_folder.install(directory.envoy, spec.files(options), admin if alive else None)
        traffic_share.remember(directory.envoy, options)
        launch = _launch(spec, directory).to_json()
        file = directory.envoy / LAUNCH
        restart = not alive or envoy_files.BOOTSTRAP_FILE in changed or not file.is_file() or file.read_text() != launch
        if restart:
            if alive:
                with shielded():  # who cancels meanwhile finds it open again
                    admin.drain(DRAIN_SECONDS)
            write_whole(file, launch, mode=0o600)
            supervisor.remove(PROGRAM)
        with _room_at(directory, door.port, record.owner):
            if restart:
                _start(directory)
            admin.await_ready(30)
        return stats_port


def measure(directory: ServiceDirectory) -> Measured:
    """Ask Envoy whether it runs and is ready."""
    if traffic.admin(directory).is_ready():
        return Measured(State.HEALTHY)
    record, process = directory.record(), Supervisor(directory).processes().get(PROGRAM)
    door = f"the front door at port {record.port}" if record and record.port else "the front door"
    found = f"{PROGRAM} is {process.state}, see {directory.envoy_log}" if process else f"no {PROGRAM} runs"
    return Measured(State.STOPPED, (f"{door} is closed ({found}); `make up` opens it",))


def remove(state_directory: Path, service_name: str, owner: str) -> None:
    """Close the front door; nothing happens where there is none, and to one that another stack took over."""
    directory = ServiceDirectory.of(state_directory, service_name)
    if not directory.root.is_dir():
        return
    with directory.locked():
        if directory.is_taken_from(owner):
            return
        Supervisor(directory).remove(PROGRAM)
        for file in directory.envoy.iterdir():
            file.unlink()


def check_port(directory: ServiceDirectory, port: int, owner: str, setting: str = PORT) -> None:
    """Raise `ServiceError` when somebody else than this service, or this stack, listens on a port of the front door.

    `setting` names the setting that chose the port.
    """
    record = directory.record()
    ours = record is not None and record.ports[setting] == port and traffic.admin(directory).is_ready()
    if ours or not is_listening(port):
        return
    listener = _listener(port)
    supervisor = _supervisor_of(listener) if listener else None
    if supervisor is not None and supervisor == family.supervisor(directory.root, owner):
        return  # of a folder that was moved or deleted: the rollout ends what it left
    for other, found in _at_port(directory, port, setting):
        if found.owner == owner:
            return
        raise ServiceError(
            f"{setting} {port} is taken by the service '{other.name}' of the stack {found.owner}; choose "
            f"another {setting}, or destroy that stack first"
        )
    raise ServiceError(f"{setting} {port} is taken by {_described(listener)}; stop it, or choose another {setting}")


def _start(directory: ServiceDirectory) -> None:
    Supervisor(directory).add(
        PROGRAM,
        directory.envoy / LAUNCH,
        log=directory.envoy_log,
        output=directory.access_log,
        stop_seconds=DRAIN_SECONDS,
    )


@contextmanager
def _room_at(directory: ServiceDirectory, port: int, owner: str) -> Iterator[None]:
    """Close this stack's front door under a former name of the service: two cannot have one port.

    It opens again where the new one does not open.
    """
    formers = [former for former, found in _at_port(directory, port) if found.owner == owner]
    for former in formers:
        with shielded():
            traffic.admin(former).drain(DRAIN_SECONDS)
        Supervisor(former).remove(PROGRAM)
    try:
        yield
    except BaseException:
        for former in formers:
            Supervisor(directory).remove(PROGRAM)
            _start(former)
        raise


def _at_port(directory: ServiceDirectory, port: int, setting: str = PORT) -> Iterator[tuple[ServiceDirectory, Record]]:
    """The services of other names whose front door is open at a port, with their records."""
    for sibling in set(directory.root.parent.glob("*/")) - {directory.root}:
        other = ServiceDirectory(sibling)
        record = other.record()
        if record is not None and record.ports[setting] == port and traffic.admin(other).is_ready():
            yield other, record


def _listener(port: int) -> psutil.Process | None:
    for connection in psutil.net_connections("tcp"):
        listening = connection.status == psutil.CONN_LISTEN and connection.pid
        if listening and connection.laddr and connection.laddr[1] == port:
            return psutil.Process(connection.pid)
    return None


def _described(process: psutil.Process | None) -> str:
    """Describe a process so that a person can end it; a service of this project is told by its supervisor."""
    if process is None:
        return "another process"
    found = f"process {process.pid} ({process.name()})"
    supervisor = _supervisor_of(process)
    if supervisor is not None:
        return f"{found} of the service in {family.place(supervisor)}, whose supervisor is process {supervisor.pid}"
    return found


def _supervisor_of(process: psutil.Process) -> psutil.Process | None:
    return next(filter(family.is_supervisor, process.parents()), None)


def _options(spec: FrontDoorSpec, directory: ServiceDirectory, record: Record) -> Options:
    assert record.current is not None
    assert record.stats_port is not None
    door = spec.opening
    candidate = None
    if record.candidate is not None and record.percent is not None:
        candidate = Candidate(traffic.upstreams(record.candidate), weight=record.percent)
    return spec.options(
        upstreams=traffic.upstreams(record.current),
        candidate=candidate,
        directory=str(directory.envoy),
        admin_socket=str(directory.admin_socket),
        listen=Address("0.0.0.0", door.port) if door.public else loopback(door.port),
        stats=loopback(record.stats_port),
        tls=Tls(spec.certificate_file, spec.key_file) if spec.certificate_file else None,
        max_connections=_most_connections(),
        trusted_roots=_trusted_roots(),
    )


def _trusted_roots() -> str:
    """Find the certificates that this machine trusts; where it has none, those of Mozilla."""
    return next((file for file in _ROOTS if Path(file).is_file()), certifi.where())


def _most_connections() -> int:
    """As many clients as `launch.py` leaves Envoy files for: each may need another one, to a server."""
    _, files_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files_allowed == resource.RLIM_INFINITY:
        return Options.max_connections
    return max(16, min(Options.max_connections, (files_allowed - _OTHER_FILES) // 2))


def _launch(spec: FrontDoorSpec, directory: ServiceDirectory) -> Launch:
    command = envoy_command.command(
        str(directory.envoy / envoy_files.BOOTSTRAP_FILE),
        concurrency=min(spec.resources.threads, os.cpu_count() or 1),
        drain_time=DRAIN_SECONDS,
    )
    return Launch(
        command=command,
        directory=directory.root,
        variables={"PATH": os.defpath},
        # Requests are held in memory: too many large ones at once end Envoy, which starts again, and not the machine.
        memory_mb=min(spec.resources.memory_mb, 2 * spec.envoy_memory // (1024 * 1024)),
    )
