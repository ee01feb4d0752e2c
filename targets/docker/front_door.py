"""The front door of the `docker` target: Envoy in a container, its configuration in a folder of this machine.

The folder is mounted, not its files: Envoy watches for files that are moved into place, so keys, routes and endpoints
change while it runs. A new container takes the place of the old one only where the container itself must change.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from gateway import envoy_command, envoy_files, envoy_folder, traffic_share
from gateway.admin import AdminError
from gateway.front_door_options import Address, Candidate, Options, Tls, Upstreams
from targets.docker import traffic
from targets.docker.containers import Container, Labels, hardened
from targets.docker.engine import Engine, Found
from targets.docker.service_folder import Folder, Record
from targets.docker.specification import FrontDoorSpec
from targets.errors import ServiceError
from targets.machine.ports import free_ports, is_listening
from targets.machine.service_folder import METRICS_PORT, PORT
from targets.role import Role
from targets.state import Measured, State

__all__ = ["apply", "check_port", "container", "measure", "options", "remove"]

CONFIGURATION = "/etc/gateway"
CERTIFICATE = "/etc/gateway-certificate"
LISTEN_PORT = 8080
STATS_PORT = 9901
DRAIN_SECONDS = 10


def apply(spec: FrontDoorSpec) -> int:
    """Open the front door or change it; gives the port of the metrics.

    Raises `ServiceError` when another process holds the port, `gateway.admin.AdminError` when Envoy refuses a file.
    """
    folder = Folder.of(spec.state_directory, spec.service_name)
    with folder.locked(), Engine() as engine:
        door = spec.opening
        check_port(engine, spec.service_name, spec.owner, door.port)
        if door.metrics_port is not None:
            check_port(engine, spec.service_name, spec.owner, door.metrics_port, METRICS_PORT)
        record = folder.record()
        found = engine.containers(spec.service_name, record.owner)
        serving = [c for c in found if (c.owner, c.generation) == record.serving]
        holder = next((c for c in serving if c.role == Role.NETWORK and c.address), None)
        if holder is None:
            raise ServiceError(f"service '{spec.service_name}' does not run; there is nothing to open a door to")
        stats_port = door.metrics_port or record.stats_port or free_ports(1)[0]
        folder.write_record(
            record.model_copy(update={"door_owner": spec.owner, "port": door.port, "stats_port": stats_port})
        )
        _take_over(spec, engine)
        wanted = traffic.upstreams(_shape(spec), holder.address, record.generation)
        _open(spec, folder, engine, options(spec, wanted, _candidate(spec, record, found)), stats_port)
        return stats_port


def _shape(spec: FrontDoorSpec) -> tuple[Role, ...]:
    """List who is behind the front door, the recorder too."""
    return (*spec.shape, *([Role.RECORDER] if spec.opening.record_requests is not None else ()))


def _take_over(spec: FrontDoorSpec, engine: Engine) -> None:
    """Take this stack's front door over from a former name of the service: it goes on, and its port stays open."""
    name = _name(spec.service_name)
    for found in engine.owned(spec.owner):
        former = found.role == Role.FRONT_DOOR and found.name != name
        if former and engine.find(name) is None:
            engine.rename(found.name, name)
        elif former:
            engine.remove(found.name)


def _candidate(spec: FrontDoorSpec, record: Record, found: list[Found]) -> Candidate | None:
    """Give the generation that stays at a share of the traffic, under whatever name of the service it started."""
    if not record.candidate or record.percent is None:
        return None
    own = [c for c in found if (c.owner, c.generation) == (record.owner, record.candidate)]
    holder = next((c for c in own if c.role == Role.NETWORK and c.address), None)
    if holder is None:
        return None
    return Candidate(traffic.upstreams(spec.shape, holder.address, record.candidate), weight=record.percent)


def _open(spec: FrontDoorSpec, folder: Folder, engine: Engine, opening: Options, stats_port: int) -> None:
    wanted = container(spec, folder.envoy, stats_port, user=engine.user())
    found = engine.find(wanted.name)
    same = found is not None and found.digest == wanted.body["Labels"][Labels.DIGEST]
    alive = same and folder.admin.is_ready()
    changed = envoy_folder.install(folder.envoy, spec.files(opening), folder.admin if alive else None)
    traffic_share.remember(folder.envoy, opening)
    if not same:
        engine.start(wanted)
        engine.keep_running(wanted.name)
    elif not alive or envoy_files.BOOTSTRAP_FILE in changed:
        engine.restart(wanted.name)
    try:
        folder.admin.await_ready(30)
    except AdminError as error:
        raise ServiceError(f"{error}; the end of its log:\n{engine.logs(wanted.name, 20)}") from None


def options(spec: FrontDoorSpec, upstreams: Upstreams, candidate: Candidate | None = None) -> Options:
    """Give the gateway's options, with paths and addresses as the container sees them."""
    return spec.options(
        upstreams=upstreams,
        candidate=candidate,
        directory=CONFIGURATION,
        listen=Address("0.0.0.0", LISTEN_PORT),
        stats=Address("0.0.0.0", STATS_PORT),
        tls=_tls(spec),
    )


def container(spec: FrontDoorSpec, configuration: Path, stats_port: int, *, user: str) -> Container:
    """Envoy's container. It runs as `user` (`Engine.user`), whose files the keys are. Pure."""
    command = envoy_command.in_container(
        f"{CONFIGURATION}/{envoy_files.BOOTSTRAP_FILE}",
        concurrency=spec.resources.threads,
        drain_time=DRAIN_SECONDS,
    )
    host = "0.0.0.0" if spec.opening.public else "127.0.0.1"
    mounts = [_mount(configuration, CONFIGURATION, writable=True)]  # the admin socket is in there
    if spec.certificate_file:
        mounts.append(_mount(Path(spec.certificate_file).parent, CERTIFICATE))
    ports = {f"{LISTEN_PORT}/tcp": (host, spec.opening.port), f"{STATS_PORT}/tcp": ("127.0.0.1", stats_port)}
    body: dict[str, Any] = {
        "Image": spec.image,
        "User": user,
        "Entrypoint": command[:1],
        "Cmd": command[1:],
        "StopTimeout": DRAIN_SECONDS + 5,
        "ExposedPorts": {port: {} for port in ports},
        "NetworkingConfig": {"EndpointsConfig": {spec.network: {}}},
        "HostConfig": {
            **hardened(),
            "NetworkMode": spec.network,
            "Mounts": mounts,
            "PortBindings": {port: [{"HostIp": ip, "HostPort": str(to)}] for port, (ip, to) in ports.items()},
            "Memory": spec.envoy_memory,
            "MemorySwap": spec.envoy_memory,
        },
    }
    body["Labels"] = {
        Labels.DIGEST: hashlib.sha256(json.dumps([body, spec.owner], sort_keys=True).encode()).hexdigest(),
        Labels.SERVICE: spec.service_name,
        Labels.OWNER: spec.owner,
        Labels.ROLE: Role.FRONT_DOOR.value,
    }
    return Container(_name(spec.service_name), Role.FRONT_DOOR, body)


def measure(state_directory: Path, service_name: str) -> Measured:
    """Ask Envoy whether it runs and is ready."""
    name = _name(service_name)
    try:
        if Folder.of(state_directory, service_name).admin.is_ready():
            return Measured(State.HEALTHY)
        with Engine() as engine:
            found = engine.exit_of(name) or ("is not ready" if engine.find(name) else "is gone")
    except ServiceError as error:
        return Measured(State.UNHEALTHY, (str(error),))
    return Measured(State.STOPPED, (f"the front door is closed ({name} {found}); `make up` opens it",))


def remove(state_directory: Path, service_name: str, owner: str) -> None:
    """Close the front door; nothing happens where there is none, or where it is another stack's by now."""
    folder = Folder.of(state_directory, service_name)
    with folder.locked(), Engine() as engine:
        found = engine.find(_name(service_name))
        if found is not None and found.owner == owner:
            engine.remove(found.name)
        if folder.record().door_owner == owner:
            for file in folder.envoy.glob("*"):
                file.unlink()


def check_port(engine: Engine, service_name: str, owner: str, port: int, setting: str = PORT) -> None:
    """Raise `ServiceError` when somebody else than this service's or this stack's front door listens on its port.

    `setting` names the setting that chose the port.
    """
    doors = [c for c in engine.containers(service_name) + engine.owned(owner) if c.role == Role.FRONT_DOOR]
    if is_listening(port) and not any(door.running and port in door.ports for door in doors):
        raise ServiceError(f"{setting} {port} is taken by another process; stop it, or choose another port")


def _name(service_name: str) -> str:
    return f"{service_name}-{Role.FRONT_DOOR}"


def _mount(source: Path, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": not writable}


def _tls(spec: FrontDoorSpec) -> Tls | None:
    if not spec.certificate_file:
        return None
    return Tls(f"{CERTIFICATE}/{Path(spec.certificate_file).name}", f"{CERTIFICATE}/{Path(spec.key_file).name}")
