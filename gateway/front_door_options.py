"""The options of the front door, with their defaults and limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from gateway.clients import DEFAULT, Client
from gateway.cors_filter import check_origin
from gateway.otel_variables import Traces
from gateway.rate_limit_service import RateLimitService

UNIX_PATH_LIMIT = 107  # sun_path has 108 bytes, the last one NUL
MAX_SECONDS = 31_536_000  # a year: Envoy counts in nanoseconds, and in 64 bits
MAX_REQUEST_BYTES = 2**32 - 1 - 2**20
MAX_REQUESTS_PER_SECOND = 2**32 - 1

MIRRORED = "x-mirrored"  # the header of a copy

HIGHEST = {
    "timeout_seconds": MAX_SECONDS,
    "max_concurrent_requests": 2**32 - 1,
    "max_connections": 2**31 - 1,
    "upstream_idle_seconds": MAX_SECONDS,
    "idle_seconds": MAX_SECONDS,
    "max_request_bytes": MAX_REQUEST_BYTES,
    "memory_bytes": 2**63 - 1,
    "requests_per_second": MAX_REQUESTS_PER_SECOND,
}


def memory_for(request_megabytes: int) -> int:
    """Return the least memory (bytes) for requests of this size: Envoy holds and checks two whole ones at once."""
    return max(512, 256 + 4 * request_megabytes) * 2**20


@dataclass(frozen=True)
class Address:
    """A host (an IP address, or a DNS name where `Options.discovery` is "dns") and a TCP port.

    Port 0 is refused: Envoy cannot tell anyone which port the kernel chose.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("address: the host is empty; give an IP address or a DNS name")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"address {self.host}: port {self.port} is not between 1 and 65535")

    @property
    def is_ip(self) -> bool:
        """Tell whether the host is a literal IP address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def loopback(port: int) -> Address:
    """Return the address of `port` on this machine's loopback interface."""
    return Address("127.0.0.1", port)


@dataclass(frozen=True)
class Triton:
    """The addresses of Triton's three ports, as Envoy reaches them."""

    http: Address
    grpc: Address
    metrics: Address


@dataclass(frozen=True)
class Upstreams:
    """The servers behind the front door: Triton, the scorer, or both; `generation` is theirs, "" where nobody knows.

    `recorder` gets copies of requests to Triton (`Options.recorded`), over HTTP/1.1 those of gRPC too.
    """

    triton: Triton | None = None
    scorer: Address | None = None
    recorder: Address | None = None
    generation: str = ""

    def __post_init__(self) -> None:
        if self.triton is None and self.scorer is None:
            raise ValueError("upstreams: nothing to serve; give Triton's addresses, the scorer's, or both")

    def by_cluster(self) -> dict[str, Address]:
        """Return the address of each Envoy cluster, by the cluster's name.

        The clusters of `INFERENCE` get inference requests and nothing else, so that their statistics tell how well a
        generation serves. The others get health checks, metadata and metrics.
        """
        clusters = {}
        if self.triton is not None:
            clusters["triton"] = self.triton.http
            clusters["triton_operations"] = self.triton.http
            clusters["triton_grpc"] = self.triton.grpc
            clusters["triton_grpc_operations"] = self.triton.grpc
            clusters["triton_metrics"] = self.triton.metrics
        if self.scorer is not None:
            clusters["scorer"] = self.scorer
            clusters["scorer_operations"] = self.scorer
        if self.recorder is not None:
            clusters[RECORDER] = self.recorder
        return clusters

    @property
    def kinds(self) -> set[str]:
        """The names of the clusters that answer clients: all but the recorder's."""
        return set(self.by_cluster()) - {RECORDER}


RECORDER = "recorder"
INFERENCE = ("triton", "triton_grpc", "scorer")


@dataclass(frozen=True)
class Candidate:
    """A second generation that gets a share of the inference requests.

    Health checks, metadata and metrics stay with the serving generation, so that a client sees one service. A share
    changes by `envoy_files.render_routes` alone. A request or stream that a generation has begun ends there.

    Attributes:
        upstreams: The servers of the candidate, of the same kinds as those of the serving generation.
        weight: Percent of the requests that the candidate answers.
        mirror: Percent of the requests that the candidate gets as copies; the serving generation answers them. Streams
            of gRPC are not copied. Where many copies are under way (`clusters.copies`), Envoy drops further ones.
            A copy carries the header `MIRRORED`, which clients cannot send.
    """

    upstreams: Upstreams
    weight: int = 0
    mirror: int = 0

    def __post_init__(self) -> None:
        for name in ("weight", "mirror"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"candidate: {name} {getattr(self, name)} is not between 0 and 100 percent")
        if self.weight and self.mirror:
            raise ValueError(
                f"candidate: weight {self.weight} and mirror {self.mirror} together would give it a request twice; "
                "set one of them to 0"
            )

    def by_cluster(self) -> dict[str, Address]:
        """Return the address of each cluster that only a candidate has, by the cluster's name."""
        shared = {name: address for name, address in self.upstreams.by_cluster().items() if name in INFERENCE}
        return {
            named(name): address for named in (candidate_cluster, mirror_cluster) for name, address in shared.items()
        }


def candidate_cluster(cluster: str) -> str:
    """Name the candidate's counterpart of a cluster; a dot would cut the name in Prometheus's labels."""
    return f"{cluster}-candidate"


def mirror_cluster(cluster: str) -> str:
    """Name the cluster that takes the copies for the candidate."""
    return f"{cluster}-mirror"


@dataclass(frozen=True)
class Tls:
    """The paths of the front door's PEM certificate chain and its key, as Envoy sees them.

    Both lie in one folder, which Envoy watches. It reads the pair again when a file moves into place or a symbolic link
    is swapped (Kubernetes, certbot). If the new pair does not match, Envoy goes on with the old one.
    """

    certificate: str
    key: str

    def __post_init__(self) -> None:
        folders = {str(PurePosixPath(path).parent) for path in (self.certificate, self.key)}
        if len(folders) != 1 or not PurePosixPath(self.certificate).is_absolute():
            raise ValueError(
                f"tls: certificate {self.certificate} and key {self.key} must be absolute paths in the same folder"
            )

    @property
    def folder(self) -> str:
        """Return the folder that holds both files."""
        return str(PurePosixPath(self.certificate).parent)


@dataclass(frozen=True)
class Options:
    """Everything that decides the rendered configuration, except the keys.

    Attributes:
        upstreams: The servers behind the front door.
        candidate: A second generation and its share of the traffic.
        directory: Absolute path, as Envoy sees it, of the folder that holds the rendered files.
        secrets_directory: The same for the files of `envoy_files.SECRET_FILES`; by default `directory`.
        discovery: "file": addresses are IP addresses, in endpoint files that a rollout rewrites.
            "dns": addresses are names, resolved again every 5 s; every address of a name gets traffic.
        listen: Address of the front door. `0.0.0.0` (or `::`) listens on all addresses.
        stats: Address of the listener for `/ready`, `/stats/prometheus` and Triton's `/metrics`. It asks for no key.
        admin_socket: Path of Envoy's admin socket (owner only); by default `admin.sock` in `directory`.
        auth_enabled: Whether requests need a key.
        health_path: Path of the front door that tells load balancers whether this Envoy takes requests (200 or 503).
            It asks for no key. None: the front door has no such path.
        tls: Certificate and key of the front door; plain HTTP when None.
        timeout_seconds: Longest time from the request's last byte to the response's last byte; for streamed
            responses, longest silence.
        max_request_bytes: Largest request body, unpacked where it is packed; larger ones get 413.
        max_concurrent_requests: Requests in flight to each upstream, and as many waiting; more get 503.
        max_connections: Client connections; more are refused. Must be below the file limit that Envoy runs under.
        idle_seconds: How long a client's connection without a request stays open.
        memory_bytes: Memory for Envoy and the bodies of its requests. Where it runs short, new requests get 503.
        cors_origins: Web pages that may call the service (`cors_filter.check_origin`).
        clients: Clients with a name of their own, who need `auth_enabled`. Their keys come with the others'.
        rate_limit_service: What counts the requests of clients with a rate over all Envoys. None: each for itself.
        trusted_roots: Path of the certificates that Envoy's machine trusts, for the issuers of tokens.
        access_log: Whether Envoy writes a line for each request (`access_log.AccessLine`).
        traces: Which requests have a trace, and where their spans go. None: no request has one.
        requests_per_second: Inference requests that one Envoy lets through; more get 429. None: no limit.
        recorded: Share of the requests to Triton of which the recorder gets a copy, where there is a recorder.
        upstream_idle_seconds: How long an unused connection to an upstream is kept. Must be shorter than the
            keep-alive timeout of the upstream: otherwise requests meet connections that are just being closed.
    """

    upstreams: Upstreams
    directory: str
    candidate: Candidate | None = None
    secrets_directory: str = ""
    discovery: Literal["file", "dns"] = "file"
    listen: Address = Address("127.0.0.1", 6789)
    stats: Address = Address("127.0.0.1", 6790)
    admin_socket: str = ""
    auth_enabled: bool = True
    health_path: str | None = None
    tls: Tls | None = None
    timeout_seconds: float = 60.0
    max_request_bytes: int = 64 * 1024 * 1024
    max_concurrent_requests: int = 8192
    max_connections: int = 16384
    requests_per_second: int | None = None
    upstream_idle_seconds: float = 30.0
    idle_seconds: float = 75.0
    memory_bytes: int = 512 * 1024 * 1024
    cors_origins: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    rate_limit_service: RateLimitService | None = None
    trusted_roots: str = "/etc/ssl/certs/ca-certificates.crt"
    access_log: bool = False
    traces: Traces | None = None
    recorded: float = 0.0

    def __post_init__(self) -> None:
        if not self.secrets_directory:
            object.__setattr__(self, "secrets_directory", self.directory)
        if not self.admin_socket:
            object.__setattr__(self, "admin_socket", str(PurePosixPath(self.directory) / "admin.sock"))
        for name in ("directory", "secrets_directory", "admin_socket"):
            if not PurePosixPath(getattr(self, name)).is_absolute():
                raise ValueError(f"{name}: {getattr(self, name)} is not an absolute path")
        if len(self.admin_socket.encode()) > UNIX_PATH_LIMIT:
            raise ValueError(
                f"admin_socket: {self.admin_socket} has {len(self.admin_socket.encode())} bytes, the kernel takes "
                f"{UNIX_PATH_LIMIT}; give a shorter path"
            )
        if self.health_path is not None and not self.health_path.startswith("/"):
            raise ValueError(f"health_path: {self.health_path} does not start with '/'")
        for name, most in HIGHEST.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value <= 0:
                raise ValueError(f"{name}: {value} is not above 0")
            if value > most:
                raise ValueError(f"{name}: {value} is above {most}, the most that Envoy takes")
        if not 0 <= self.recorded <= 1:
            raise ValueError(f"recorded: {self.recorded} is no share; expected 0 to 1")
        for origin in self.cors_origins:
            check_origin(origin)
        for address in (self.listen, self.stats):
            if not address.is_ip:
                raise ValueError(f"listener {address.host}:{address.port}: Envoy listens on IP addresses, not on names")
        if self.listen == self.stats:
            raise ValueError(f"stats: {self.stats.host}:{self.stats.port} is the front door's own address")
        if self.candidate is not None:
            serving, new = self.upstreams.kinds, self.candidate.upstreams.kinds
            if serving != new:
                raise ValueError(
                    f"candidate: its clusters are {sorted(new)}, those of the serving generation {sorted(serving)}; "
                    "a share of traffic needs both generations to have the same kinds of servers"
                )
        self._check_clients()
        if self.discovery == "file":
            for cluster, address in self.addresses().items():
                if not address.is_ip:
                    raise ValueError(f'upstream {cluster}: {address.host} is a name; that needs discovery="dns"')

    def _check_clients(self) -> None:
        names = [DEFAULT, *(client.name for client in self.clients)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"clients: the name {twice[0]} is there twice; each client needs one of its own")
        if self.clients and not self.auth_enabled:
            raise ValueError("clients: auth_enabled is false, and without keys nobody can tell who a client is")
        authorities = {client.certificate.ca for client in self.clients if client.certificate is not None}
        if authorities and self.tls is None:
            raise ValueError("clients: a certificate needs tls")
        if len(authorities) > 1:
            raise ValueError(
                "clients: their certificates need one ca, which may hold several certificates: any of several could "
                "vouch for the subject of another's client"
            )

    @property
    def client_authority(self) -> str:
        """Return the certificates (PEM) that vouch for clients' certificates; "" where no client shows one."""
        return next((client.certificate.ca for client in self.clients if client.certificate is not None), "")

    def addresses(self) -> dict[str, Address]:
        """Return the address of each cluster, those of the candidate among them, by the cluster's name."""
        return self.upstreams.by_cluster() | (self.candidate.by_cluster() if self.candidate is not None else {})
