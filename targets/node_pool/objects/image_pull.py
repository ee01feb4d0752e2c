"""The Secret by which nodes pull the service's image, where the settings have a password for its registry."""

import base64
import json

from environment.image_name import server_of
from settings.schema import Settings
from targets.node_pool.object_names import REPLICA, Names, manifest
from targets.node_pool.rendering import Manifest, Options

__all__ = ["docker_configuration", "image_pull", "pull_secrets"]


def image_pull(options: Options) -> list[Manifest]:
    """Render the Secret; nothing where `image.username` is not set."""
    if not _has_password(options.settings):
        return []
    data = {".dockerconfigjson": options.contents.image_pull}
    name = Names.of(options).image_pull
    return [manifest(options, "v1", "Secret", name, REPLICA, type="kubernetes.io/dockerconfigjson", stringData=data)]


def pull_secrets(options: Options) -> list[dict[str, str]]:
    """Render a pod's `imagePullSecrets`: those that the settings name, and the one above."""
    own = [Names.of(options).image_pull] if _has_password(options.settings) else []
    return [{"name": name} for name in [*options.pool.image_pull_secrets, *own]]


def docker_configuration(settings: Settings, password: str | None) -> str:
    """Docker's configuration with the password; "" without one."""
    image = settings.image
    if image.username is None or password is None:
        return ""
    server = server_of(image.reference or image.repository or "")
    server = "https://index.docker.io/v1/" if server == "docker.io" else server
    auth = base64.b64encode(f"{image.username}:{password}".encode()).decode()
    return json.dumps({"auths": {server: {"auth": auth}}})


def _has_password(settings: Settings) -> bool:
    return settings.image.username is not None
