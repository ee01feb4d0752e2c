"""What a rendering starts from: the settings, the preset, and contents that may not be known yet."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from settings.compute_targets import OWN_POOL, Preset, presets
from settings.node_pool import NodePoolSettings
from settings.schema import Settings
from settings.service_groups import Limits, Opening, Resources, RolloutPlan
from targets.role import Role

__all__ = ["Contents", "Manifest", "Options", "Text"]

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""

Text: TypeAlias = Any
"""Text, or an engine's promise of it (`pulumi.Output[str]`): the rendering puts it into place and never reads it."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What objects hold and only a deployment knows.

    Attributes:
        image: The service image by digest.
        repositories: Triton's model repositories: folders in the image, or `s3://`, `gs://`, `as://`.
        gateway_version: Changes whenever Envoy's files, keys or certificate do.
        primary_key, secondary_key: The service's keys.
        gateway_keys: Envoy's file of keys (`gateway.envoy_files.render_keys`).
        image_pull: Docker's configuration with the password of the image's registry, where the settings have one.
        certificate, certificate_key: The front door's PEM files, where it has TLS.
    """

    image: Text
    repositories: tuple[Text, ...] = ()
    image_pull: Text = field(default="", repr=False)
    gateway_version: Text = ""
    primary_key: Text = field(default="", repr=False)
    secondary_key: Text = field(default="", repr=False)
    gateway_keys: Text = field(default="", repr=False)
    certificate: Text = field(default="", repr=False)
    certificate_key: Text = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that decides the objects of a service on a node pool.

    Attributes:
        settings: The stack's settings.
        triton, scorer: Whether Triton and the entry script's server are part of the service; at least one is.
        owner: The stack that the objects belong to, written on each of them.
        contents: What the objects hold.
    """

    settings: Settings
    triton: bool
    scorer: bool
    owner: str
    contents: Contents

    def __post_init__(self) -> None:
        if not (self.triton or self.scorer):
            raise ValueError("a service has Triton, an entry script's server, or both")

    @property
    def pool(self) -> NodePoolSettings:
        """The settings of the node pool."""
        return self.settings.node_pool

    @property
    def preset(self) -> Preset:
        """The preset that `deployment.computeTargetName` names, or one that says nothing."""
        return presets().get(self.settings.deployment.compute_target_name, OWN_POOL)

    @property
    def resources(self) -> Resources:
        """What each replica asks for."""
        return self.settings.deployment.resources

    @property
    def limits(self) -> Limits:
        """What one request may take."""
        return self.settings.deployment.limits

    @property
    def opening(self) -> Opening:
        """How the front door opens."""
        return self.settings.deployment.opening

    @property
    def rollout(self) -> RolloutPlan:
        """How new replicas take the place of old ones."""
        return self.settings.deployment.rollout_plan

    @property
    def recorded_megabytes(self) -> int | None:
        """What each recorder may keep of requests to Triton; None where there is no recorder."""
        recording = self.opening.record_requests
        return recording.max_megabytes if self.triton and recording is not None else None

    @property
    def main_container(self) -> str:
        """The container that a replica's pod exists for."""
        return str(Role.SCORER if self.scorer else Role.TRITON)

    @property
    def containers(self) -> list[str]:
        """The containers of a replica's pod."""
        return [role.value for role in Role.serving(triton=self.triton, scorer=self.scorer)]

    @property
    def sleeps(self) -> bool:
        """Whether the replicas may be none, without clients."""
        autoscale = self.pool.autoscale
        return autoscale is not None and autoscale.min_replicas == 0

    @property
    def gpus(self) -> int:
        """GPUs of each replica."""
        return self.resources.gpu_cores
