"""A client of Envoy's admin socket: readiness, the files in use, the requests in flight, draining."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from common.errors import UserError
from common.waiting import wait_until
from gateway.clusters import endpoints_file
from gateway.envoy_files import SECRET_FILES
from gateway.envoy_log import Log
from gateway.front_door_options import INFERENCE, RECORDER, Upstreams, candidate_cluster, mirror_cluster
from gateway.generation_figures import FIGURES_QUERY, Snapshot
from gateway.listener import CERTIFICATE, FRONT_DOOR, KEYS, KEYS_FILE, TLS_FILE
from gateway.routes import ROUTES

_POLL_SECONDS = 0.02

# The prefix of each file's statistics.
_SUBSCRIPTIONS = {
    "listeners.json": "listener_manager.lds",
    "clusters.json": "cluster_manager.cds",
    "routes.json": f"http.{FRONT_DOOR}.rds.{ROUTES}",
    KEYS_FILE: f"extension_config_discovery.http_filter.{KEYS}",
    TLS_FILE: f"sds.{CERTIFICATE}",
}
_OPERATIONS = ("triton_operations", "triton_grpc_operations", "triton_metrics", "scorer_operations")
_CLUSTERS = (
    *INFERENCE,
    *_OPERATIONS,
    RECORDER,
    *map(candidate_cluster, INFERENCE),
    *map(mirror_cluster, INFERENCE),
)
_SUBSCRIPTIONS |= {endpoints_file(cluster): f"cluster.{cluster}" for cluster in _CLUSTERS}


class AdminError(UserError):
    """Envoy does not answer, or does not obey in time."""


class RejectedError(AdminError):
    """Envoy refused a file and goes on with the one it had."""


@dataclass(frozen=True)
class Answers:
    """How many requests a cluster answered with 200, and how many otherwise or not at all."""

    ok: int
    failed: int

    @property
    def all(self) -> int:
        """All requests that are over."""
        return self.ok + self.failed


class Admin:
    """An Envoy, asked and commanded through its admin socket.

    Args:
        path: `Options.admin_socket`, as this process sees it.
        log: The file of Envoy's own log, which gives Envoy's reasons. Only lines written from now on count.
    """

    def __init__(self, path: Path | str, log: Path | None = None) -> None:
        self._path = str(path)
        # No connection outlives its request: Envoy may end between two of them.
        limits = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.HTTPTransport(uds=self._path, verify=False, limits=limits)
        self._client = httpx.Client(base_url="http://envoy", transport=transport, trust_env=False, timeout=10)
        self._log = Log(log) if log is not None else None

    @classmethod
    def at(cls, url: str, name: str) -> Self:
        """Reach what a listener of an Envoy passes on to its admin interface; errors call the Envoy by `name`."""
        admin = cls(name)
        admin._client = httpx.Client(base_url=url, trust_env=False, timeout=10)
        return admin

    def is_ready(self) -> bool:
        """Tell whether Envoy is initialised and the front door is open."""
        try:
            return self._request("GET", "/ready")[0] == 200 and "listeners.json" in self.versions()
        except AdminError:
            return False

    def await_ready(self, timeout: float = 10.0) -> None:
        """Wait until Envoy is ready.

        Raises:
            RejectedError: Envoy refused a file at its start; the message has its reason.
            AdminError: Envoy gave up, or is not ready within `timeout` seconds.
        """

        def outcome() -> bool | AdminError:
            is_ready = self.is_ready()
            # Asked after it: Envoy is ready, with a door that lets nobody in, as soon as it has refused the keys.
            if (name := self._refused_at_start()) is not None:
                return RejectedError(f"envoy: refused {name} at its start{self._reason(name)}")
            if is_ready:
                return True
            end = self._log.end() if self._log is not None else None
            return AdminError(f"envoy: did not start: {end}") if end is not None else False

        ready = wait_until(outcome, seconds=timeout, every=_POLL_SECONDS)
        if not ready:
            raise AdminError(f"envoy: not ready within {timeout:g} s; its log says why")
        if isinstance(ready, AdminError):
            raise ready

    def versions(self) -> dict[str, str]:
        """Return the version of each file that Envoy uses, by file name."""
        stats = self._stats("version_text")
        found = {name: str(stats.get(f"{key}.version_text", "")) for name, key in _SUBSCRIPTIONS.items()}
        return {name: version for name, version in found.items() if version}

    def rejections(self) -> dict[str, int]:
        """Count how many times Envoy refused each file that it reads, since it began to read it, by file name."""
        stats = self._stats("update_(rejected|failure)")
        return {
            name: sum(int(stats.get(f"{key}.update_{what}", 0)) for what in ("rejected", "failure"))
            for name, key in _SUBSCRIPTIONS.items()
            if f"{key}.update_rejected" in stats
        }

    def await_taken(self, name: str, version: str, rejections: int, timeout: float = 10.0) -> None:
        """Wait until Envoy uses `version` of the file `name`.

        Args:
            name: The file.
            version: Its new version.
            rejections: The count that `rejections` gave for the file before it was written.
            timeout: Seconds to wait.

        Raises:
            RejectedError: Envoy refused the file; the message has its reason.
            AdminError: Neither happened within `timeout` seconds.
        """

        def decided() -> bool:
            return self.versions().get(name) == version or self.rejections().get(name, 0) > rejections

        if not wait_until(decided, seconds=timeout, every=_POLL_SECONDS):
            raise AdminError(f"envoy: {name} version {version} is not in use after {timeout:g} s")
        if self.versions().get(name) != version:
            raise RejectedError(f"envoy: refused {name} and goes on with the one before{self._reason(name)}")

    def in_flight(self, upstreams: Upstreams) -> int:
        """Count the requests that these endpoints are working on, as serving generation or candidate.

        Copies of requests do not count: nobody waits for their answers.
        """
        wanted = {
            (named, address.host, address.port)
            for cluster, address in upstreams.by_cluster().items()
            if cluster != RECORDER
            for named in (cluster, candidate_cluster(cluster))
        }
        total = 0
        for cluster in self._json("/clusters?format=json").get("cluster_statuses", []):
            for host in cluster.get("host_statuses", []):
                address = host["address"].get("socket_address", {})
                if (cluster["name"], address.get("address"), address.get("port_value")) in wanted:
                    total += sum(int(stat.get("value", 0)) for stat in host["stats"] if stat["name"] == "rq_active")
        return total

    def await_idle(self, upstreams: Upstreams, timeout: float) -> bool:
        """Wait until these endpoints, drained by `envoy_files.render_endpoints`, have no request left.

        Returns:
            Whether that happened within `timeout` seconds.
        """
        quiet = 0

        def idle() -> bool:
            # Envoy's workers learn of a new endpoint file a moment after its main thread: one quiet look is not enough.
            nonlocal quiet
            quiet = quiet + 1 if self.in_flight(upstreams) == 0 else 0
            return quiet > 3

        return wait_until(idle, seconds=timeout, every=_POLL_SECONDS)

    def figures(self) -> Snapshot:
        """Read how well the serving generation and a candidate did since Envoy's start."""
        status, body = self._request("GET", FIGURES_QUERY)
        if status != 200:
            raise AdminError(f"envoy: the figures on {self._path} answered {status}")
        return Snapshot.parse(body)

    def members(self) -> dict[str, int]:
        """Count the servers that Envoy knows of each cluster, by the cluster's name."""
        end = ".membership_healthy"
        stats = self._stats(r"^cluster\..*\.membership_healthy$")
        return {name.removeprefix("cluster.").removesuffix(end): int(count) for name, count in stats.items()}

    def answers(self, clusters: Iterable[str]) -> dict[str, Answers]:
        """Count the answers of clusters since Envoy has known them, by the cluster's name."""
        stats = self._stats(r"^cluster\..*\.upstream_rq_(200|completed)$")

        def count(cluster: str) -> Answers:
            ok, completed = (
                int(stats.get(f"cluster.{cluster}.upstream_rq_{what}", 0)) for what in ("200", "completed")
            )
            return Answers(ok, completed - ok)

        return {cluster: count(cluster) for cluster in clusters}

    def active_requests(self) -> int:
        """Count the requests that clients have open at the front door."""
        name = f"http.{FRONT_DOOR}.downstream_rq_active"
        return int(self._stats(name.replace(".", r"\.")).get(name, 0))

    def drain(self, timeout: float) -> bool:
        """Close the front door to new connections and wait for the open requests.

        Returns:
            Whether all of them ended within `timeout` seconds.
        """
        self._post("/drain_listeners?graceful&skip_exit")  # tells clients to close their connections
        self._post("/drain_listeners")
        return wait_until(lambda: self.active_requests() == 0, seconds=timeout, every=_POLL_SECONDS)

    def _refused_at_start(self) -> str | None:
        try:
            versions = self.versions()
            return next((name for name, count in self.rejections().items() if count and name not in versions), None)
        except AdminError:
            return None

    def _reason(self, name: str) -> str:
        """Return Envoy's words for a file that it just refused; none for the keys, because Envoy quotes them."""
        log = self._log
        if log is None or name in SECRET_FILES:
            return ""
        words = wait_until(
            log.refusal, seconds=1.0, every=_POLL_SECONDS
        )  # whoever writes the log may be a moment behind
        return f": {words or 'its log says why'}"

    def _stats(self, pattern: str) -> Mapping[str, Any]:
        stats = self._json(f"/stats?format=json&filter={pattern}")["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "name" in stat}

    def _json(self, path: str) -> Any:
        status, body = self._request("GET", path)
        if status != 200:
            raise AdminError(
                f"envoy: GET {path} on {self._path} answered {status}: {body.decode(errors='replace').strip()}"
            )
        return json.loads(body)

    def _post(self, path: str) -> None:
        status, body = self._request("POST", path)
        if status != 200:
            raise AdminError(
                f"envoy: POST {path} on {self._path} answered {status}: {body.decode(errors='replace').strip()}"
            )

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            response = self._client.request(method, path)
        except httpx.HTTPError as error:
            raise AdminError(f"envoy: no answer on {self._path}: {error}; is it running?") from error
        return response.status_code, response.content
