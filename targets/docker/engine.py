"""The Docker engine of this machine: what the rollout asks of its API, and its refusals in words for people."""

import math
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import docker.utils
import requests

from common.waiting import wait_until
from settings.service_groups import Resources
from targets.docker.containers import Container, Labels
from targets.errors import ServiceError
from targets.role import Role

__all__ = ["Engine", "Exit", "Found"]

DEFAULT_HOST = "unix:///var/run/docker.sock"
# How long the engine may take for one request; stopping a container has its grace period on top.
TIMEOUT_SECONDS = 60
_POLL_SECONDS = 0.05
HOOK = "nvidia-container-runtime-hook"


_STOP_ORDER = (Role.FRONT_DOOR, Role.PROVER, Role.RECORDER, Role.SCORER, Role.TRITON, Role.NETWORK)


@dataclass(frozen=True)
class Found:
    """A container of a service as the engine knows it."""

    name: str
    role: Role | None
    owner: str
    generation: int
    digest: str
    running: bool
    health: str
    started: str
    address: str
    ports: tuple[int, ...]

    @property
    def stop_rank(self) -> int:
        """Containers stop by this, the scorer before its Triton: one idle connection of a client makes Triton wait."""
        return _STOP_ORDER.index(self.role)

    @property
    def state(self) -> str:
        """`running`, `healthy`, `unhealthy`, `starting` or `stopped`."""
        return (self.health or "running") if self.running else "stopped"


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    out_of_memory: bool
    error: str

    def __str__(self) -> str:
        if self.out_of_memory:
            return f"was killed for want of memory (exit code {self.code}): raise deployment.memoryGb"
        return f"ended with exit code {self.code}" + (f": {self.error}" if self.error else "")


class NoEngineError(ServiceError):
    """No Docker engine answers."""


class Engine:
    """A client of the engine that DOCKER_HOST names, by default this machine's.

    Raises `ServiceError` where no engine answers, and in every method where the engine refuses.
    """

    def __init__(self) -> None:
        settings = {"base_url": DEFAULT_HOST, **docker.utils.kwargs_from_env()}
        self.host = settings["base_url"]
        try:
            self._api = docker.APIClient(**settings, version="auto", timeout=TIMEOUT_SECONDS)
        except docker.errors.DockerException as error:
            raise NoEngineError(
                f"no Docker engine answers at {self.host}: start it, or set DOCKER_HOST ({_words(error)})"
            ) from None

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def check_gpus(self, resources: Resources) -> None:
        """Raise `ServiceError` where GPUs are asked for and the engine has no way to give so many."""
        if not resources.has_gpu:
            return
        count = resources.gpu_cores
        known = self._info()
        devices = [device["ID"] for device in known.get("DiscoveredDevices") or ()]
        # Of the names that CDI has for a GPU, its number is the one that every GPU has.
        listed = sum(re.fullmatch(r"nvidia\.com/gpu=\d+", device) is not None for device in devices)
        if 0 < listed < count:
            raise ServiceError(
                f"deployment.gpuCores {count}: the Docker engine at {self.host} has {listed}; set deployment.gpuCores "
                f"to {listed} at most"
            )
        # `--gpus` works by the runtime, by CDI, or by this hook on the PATH of an engine on this machine.
        if not listed and "nvidia" not in known.get("Runtimes", {}) and shutil.which(HOOK) is None:
            raise ServiceError(
                f"deployment.gpuCores {count}: the Docker engine at {self.host} has no GPU to give; install the NVIDIA "
                "Container Toolkit (nvidia-ctk runtime configure --runtime=docker), or set deployment.gpuCores to 0"
            )

    def user(self) -> str:
        """Who, in a container, owns the files of this process's user: root where the engine maps users."""
        options = self._info().get("SecurityOptions") or ()
        mapped = any(option.split(",")[0] in ("name=rootless", "name=userns") for option in options)
        return "0:0" if mapped else f"{os.getuid()}:{os.getgid()}"

    def containers(self, service: str, owner: str = "") -> list[Found]:
        """List a service's containers, running or not; with `owner` all of its stack, whatever the service was called.

        A front door that went on while its service got another name has the name of that one, and still the label of
        the former.
        """
        door = f"{service}-{Role.FRONT_DOOR}"
        found = [c for c in self._labelled(Labels.SERVICE, service) if c.role != Role.FRONT_DOOR or c.name == door]
        found += [c for c in [self.find(door)] if c is not None and c.role == Role.FRONT_DOOR]
        found += self.owned(owner) if owner else []
        return list({container.name: container for container in found}.values())

    def owned(self, owner: str) -> list[Found]:
        """List an owner's containers, running or not, whatever service they belong to."""
        return self._labelled(Labels.OWNER, owner)

    def _labelled(self, label: str, value: str) -> list[Found]:
        with self._refusals(f"the containers of {value}"):
            rows = self._api.containers(all=True, filters={"label": f"{label}={value}"})
        found = [self.find(row["Id"]) for row in rows]
        return [container for container in found if container is not None]

    def find(self, name: str) -> Found | None:
        """Find a container by its name or id; none where there is none."""
        facts = self._inspect(name)
        if facts is None:
            return None
        labels, state = facts["Config"]["Labels"] or {}, facts["State"]
        addresses = [network["IPAddress"] for network in facts["NetworkSettings"]["Networks"].values()]
        return Found(
            name=facts["Name"].lstrip("/"),
            role=Role(labels[Labels.ROLE]) if Labels.ROLE in labels else None,
            owner=labels.get(Labels.OWNER, ""),
            generation=int(labels.get(Labels.GENERATION, 0)),
            digest=labels.get(Labels.DIGEST, ""),
            running=bool(state["Running"]),
            health=state.get("Health", {}).get("Status", ""),
            started=state["StartedAt"].rstrip("Z").ljust(29, "0"),  # the engine drops trailing zeros
            address=next((address for address in addresses if address), ""),
            ports=tuple(
                int(b["HostPort"]) for bound in (facts["HostConfig"]["PortBindings"] or {}).values() for b in bound
            ),
        )

    def image_labels(self, image: str) -> dict[str, str]:
        """Read the labels of an image that this engine has."""
        with self._refusals(f"image {image}"):
            return dict(self._api.inspect_image(image)["Config"].get("Labels") or {})

    def pull(self, image: str) -> None:
        """Get an image, with the credentials of Docker's own configuration; nothing happens where it is here."""
        with self._refusals(f"image {image}"):
            if self._api.images(name=image):
                return
            repository, tag = docker.utils.parse_repository_tag(image)
            for line in self._api.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if "error" in line:
                    raise docker.errors.DockerException(line["error"])

    def start(self, container: Container) -> None:
        """Create and start a container in place of the service's own one of that name.

        Refuses where a container of that name is none of this service's.
        """
        there = self._inspect(container.name)
        if there is not None and not _may_replace(container, there["Config"]["Labels"] or {}):
            raise ServiceError(
                f"a container named {container.name} exists that is none of this service's; remove it (docker rm), or "
                "choose another serviceName"
            )
        with self._refusals(f"container {container.name}"):
            self.remove(container.name)
            self._api.create_container_from_config(container.body, container.name)
            self._api.start(container.name)

    def rename(self, name: str, new: str) -> None:
        """Give a container another name, while it runs."""
        with self._refusals(f"container {name}"):
            self._api.rename(name, new)

    def restart(self, name: str) -> None:
        """Start a container again, whether it runs or not."""
        with self._refusals(f"container {name}"):
            self._api.restart(name, timeout=TIMEOUT_SECONDS // 2)

    def keep_running(self, name: str) -> None:
        """Have the engine start a container again whenever it ends, and after a reboot."""
        with self._refusals(f"container {name}"):
            self._api.update_container(name, restart_policy={"Name": "unless-stopped"})

    def stop(self, name: str) -> None:
        """Stop a container within its own grace period and leave it; nothing happens where there is none."""
        with self._refusals(f"container {name}"):
            facts = self._inspect(name)
            if facts and facts["State"]["Running"]:
                self._api.stop(name, timeout=facts["Config"].get("StopTimeout") or 10)

    def remove(self, name: str) -> None:
        """Stop and remove a container; nothing happens where there is none."""
        self.stop(name)
        with self._refusals(f"container {name}"):
            try:
                self._api.remove_container(name, force=True, v=True)
            except docker.errors.NotFound:
                return

    def exit_of(self, name: str) -> Exit | None:
        """How a container ended; none where it runs, or is not there."""
        facts = self._inspect(name)
        if facts is None or facts["State"]["Running"]:
            return None
        state = facts["State"]
        return Exit(code=state["ExitCode"], out_of_memory=state["OOMKilled"], error=state["Error"])

    def await_end(self, name: str, seconds: float) -> None:
        """Wait until a container has ended, but so long at most."""
        with suppress(requests.RequestException, docker.errors.DockerException):
            self._api.wait(name, timeout=seconds)

    def ran_out_of_memory(self, name: str) -> bool:
        """Whether the kernel killed a process of a container for want of memory, its first one or another."""
        facts = self._inspect(name)
        if facts is None:
            return False
        # By its id: an earlier container of that name may have died of it.
        filters = {"container": facts["Id"], "event": "oom"}
        with self._refusals(f"the events of {name}"):
            return any(self._api.events(until=int(time.time()) + 1, filters=filters))

    def logs(self, name: str, lines: int | str = "all") -> str:
        """Read the end of a container's log, both streams."""
        with self._refusals(f"the log of {name}"):
            return str(self._api.logs(name, tail=lines).decode(errors="replace"))

    def printed(self, name: str, *, error: bool = False) -> str:
        """Read what a container wrote to its standard output, or to its standard error."""
        with self._refusals(f"the log of {name}"):
            return str(self._api.logs(name, stdout=not error, stderr=error).decode(errors="replace"))

    def follow(self, name: str) -> Iterator[str]:
        """Read a container's log from now on, line by line, until it is removed."""
        rest = b""
        with self._refusals(f"the log of {name}"):
            for part in self._api.logs(name, stream=True, follow=True, tail=0):
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)

    def run(self, name: str, command: list[str], seconds: float) -> tuple[int | None, str]:
        """Run a command in a container; its exit code, none where it could not end, and what it printed.

        Whoever cancels waits for it no longer: it ends by itself, or with its container.
        """
        with self._refusals(f"a command in {name}"):
            created = self._api.exec_create(name, command)["Id"]
            printed: Future[bytes] = Future()
            starter = threading.Thread(target=self._start_command, args=(created, seconds, printed), daemon=True)
            starter.start()
            # The engine's own deadline ends the thread.
            wait_until(printed.done, seconds=math.inf, every=_POLL_SECONDS)
            said = printed.result().decode(errors="replace").strip()
            return self._api.exec_inspect(created)["ExitCode"], said

    def _start_command(self, created: str, seconds: float, printed: "Future[bytes]") -> None:
        self._api.timeout = seconds + TIMEOUT_SECONDS
        try:
            printed.set_result(self._api.exec_start(created))
        except Exception as error:
            printed.set_exception(error)
        finally:
            self._api.timeout = TIMEOUT_SECONDS

    def _info(self) -> dict[str, Any]:
        with self._refusals("the engine's description"):
            return dict(self._api.info())

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with self._refusals(f"container {name}"):
            try:
                return dict(self._api.inspect_container(name))
            except docker.errors.NotFound:
                return None

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        try:
            yield
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise ServiceError(f"{what}: the Docker engine refuses: {_words(error)}") from None


def _may_replace(container: Container, there: dict[str, str]) -> bool:
    """Whether the labels of a container of that name say that it is the service's, or the stack's."""
    wanted = container.body["Labels"]
    return any(there.get(label) == wanted[label] for label in (Labels.SERVICE, Labels.OWNER))


def _words(error: Exception) -> str:
    """Put the engine's own words in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join((text.decode() if isinstance(text, bytes) else str(text)).split())
