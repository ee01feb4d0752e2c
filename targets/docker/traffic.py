"""Which generation the front door sends requests to: files that Envoy watches."""

from collections.abc import Collection

from environment.image_layout import RECORDER_PORT, SCORER_PORT, TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
from gateway import envoy_files, envoy_folder
from gateway.front_door_options import Address, Triton, Upstreams
from gateway.traffic_share import Share
from targets.docker.service_folder import Folder
from targets.role import Role

__all__ = ["await_idle", "send_to", "share", "upstreams"]


def upstreams(shape: Collection[Role | None], address: str, generation: int) -> Upstreams:
    """Give the servers of a generation of this shape at its address in the service's network."""
    triton = None
    if Role.TRITON in shape:
        triton = Triton(
            http=Address(address, TRITON_HTTP_PORT),
            grpc=Address(address, TRITON_GRPC_PORT),
            metrics=Address(address, TRITON_METRICS_PORT),
        )
    scorer = Address(address, SCORER_PORT) if Role.SCORER in shape else None
    recorder = Address(address, RECORDER_PORT) if Role.RECORDER in shape else None
    return Upstreams(triton=triton, scorer=scorer, recorder=recorder, generation=str(generation))


def share(folder: Folder) -> Share:
    """Give the share of the traffic that a candidate has at the service's Envoy."""
    return Share(folder.envoy, folder.admin)


def send_to(
    folder: Folder, serving: Upstreams, *, draining: Upstreams | None = None, stopped: Upstreams | None = None
) -> None:
    """Send new requests to `serving`, let those to `draining` finish and close the connections to `stopped`.

    Returns when Envoy does so. Where Envoy does not run yet, the files wait for it.
    """
    envoy = folder.admin
    envoy_folder.replace(
        folder.envoy, envoy_files.render_endpoints(serving, draining, stopped), envoy if envoy.is_ready() else None
    )


def await_idle(folder: Folder, draining: Upstreams, seconds: float) -> bool:
    """Tell whether a draining generation ran out of requests within `seconds`."""
    envoy = folder.admin
    return not envoy.is_ready() or envoy.await_idle(draining, seconds)
