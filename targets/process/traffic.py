"""Which generation the front door sends requests to: files that Envoy watches."""

from gateway import envoy_files, envoy_folder
from gateway.admin import Admin
from gateway.front_door_options import Triton, Upstreams, loopback
from gateway.traffic_share import Share
from targets.process.service_folder import Generation, ServiceDirectory

__all__ = ["admin", "await_idle", "send_to", "share", "upstreams"]


def upstreams(generation: Generation) -> Upstreams:
    """Give a generation's servers, as the front door reaches them."""
    triton = None
    if generation.triton_http and generation.triton_grpc and generation.triton_metrics:
        triton = Triton(
            http=loopback(generation.triton_http),
            grpc=loopback(generation.triton_grpc),
            metrics=loopback(generation.triton_metrics),
        )
    return Upstreams(
        triton=triton,
        scorer=loopback(generation.scorer) if generation.scorer else None,
        recorder=loopback(generation.recorder) if generation.recorder else None,
        generation=str(generation.number),
    )


def admin(directory: ServiceDirectory) -> Admin:
    """Give the admin socket of the service's Envoy."""
    return Admin(directory.admin_socket, directory.envoy_log)


def share(directory: ServiceDirectory) -> Share:
    """Give the share of the traffic that a candidate has at the service's Envoy."""
    return Share(directory.envoy, admin(directory))


def send_to(
    directory: ServiceDirectory,
    generation: Generation,
    *,
    draining: Generation | None = None,
    stopped: Generation | None = None,
) -> None:
    """Send new requests to `generation`, let those to `draining` finish and close the connections to `stopped`.

    Returns when Envoy does so. Where Envoy does not run yet, the files wait for it.
    """
    envoy = admin(directory)
    endpoints = envoy_files.render_endpoints(
        upstreams(generation), upstreams(draining) if draining else None, upstreams(stopped) if stopped else None
    )
    envoy_folder.replace(directory.envoy, endpoints, envoy if envoy.is_ready() else None)


def await_idle(directory: ServiceDirectory, generation: Generation, seconds: float) -> bool:
    """Tell whether a draining generation ran out of requests within `seconds`."""
    envoy = admin(directory)
    return not envoy.is_ready() or envoy.await_idle(upstreams(generation), seconds)
