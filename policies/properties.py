"""Where the properties of this project's own resources are: the one place that knows their names."""

from collections.abc import Iterator, Mapping
from typing import Any

from policies.stack import Mark, Resource, at

__all__ = [
    "asks_for_keys",
    "has_certificate",
    "is_front_door",
    "is_public",
    "is_typed",
    "limits_requests",
    "overwrites",
    "service_image",
    "texts_with_urls",
    "variables",
]

PREFIX = "triton:index:"
AUTH_ENABLED = ("opening", "authEnabled")
PUBLIC = ("opening", "public")
CERTIFICATE_FILE = ("certificateFile",)
MAX_REQUESTS_PER_SECOND = ("opening", "maxRequestsPerSecond")
OVERWRITE = ("overwrite",)
VARIABLES = ("variables",)
IMAGE = ("image",)
PIP_PACKAGES = ("pipPackages",)
REGISTRY = ("registry",)


def is_typed(resource: Resource) -> bool:
    """Whether the resource is of a type of this project's provider."""
    return resource.type.startswith(PREFIX)


def is_front_door(resource: Resource) -> bool:
    """Whether the resource is the front door of a service on one machine."""
    return is_typed(resource) and resource.kind.endswith("FrontDoor")


def is_public(door: Resource) -> bool:
    """Whether the front door listens on all addresses of its machine."""
    return at(door.props, *PUBLIC) is True


def asks_for_keys(door: Resource) -> bool:
    """Whether the front door asks clients for a key, as it does by default."""
    return at(door.props, *AUTH_ENABLED) is not False


def has_certificate(door: Resource) -> bool:
    """Whether the front door speaks TLS."""
    return bool(at(door.props, *CERTIFICATE_FILE))


def limits_requests(door: Resource) -> bool:
    """Whether the front door limits the requests of a second."""
    return at(door.props, *MAX_REQUESTS_PER_SECOND) is not None


def overwrites(resource: Resource) -> bool:
    """Whether the resource takes over what another stack has."""
    if is_typed(resource):
        return at(resource.props, *OVERWRITE) is True
    if resource.type == "pulumi:providers:kubernetes" and resource.types[0].startswith(PREFIX):
        return any(str(at(resource.props, name)).lower() == "true" for name in _TAKES_OVER)
    return False


_TAKES_OVER = ("upsertExistingObjects", "enablePatchForce")


def variables(resource: Resource) -> Mapping[str, Any] | Mark:
    """Give the environment variables of a service by their names."""
    found = at(resource.props, *VARIABLES) if is_typed(resource) else None
    return found if isinstance(found, Mapping | Mark) else {}


def texts_with_urls(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield the other texts that may hold a URL with a credential, with their setting."""
    if not is_typed(resource):
        return
    if isinstance(registry := at(resource.props, *REGISTRY), str):
        yield "registry", registry
    packages = at(resource.props, *PIP_PACKAGES)
    for package in packages if isinstance(packages, list) else ():
        if isinstance(package, str):
            yield "environment.pipPackages", package


def service_image(resource: Resource) -> str | None:
    """Give the image of a service on one machine; None where there is none, or nobody knows it yet."""
    image = at(resource.props, *IMAGE) if is_typed(resource) else None
    return image if isinstance(image, str) else None
