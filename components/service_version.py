"""KeptVersion: the version of the service that a deployment is, kept once its smoke check passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.bundle_outputs import BundleOutputs
from components.deployment import Deployment
from components.smoke_check import SmokeCheck
from components.stack_settings import stack_id
from provider.resources.service_version import ServiceVersion
from settings.schema import Settings
from settings.service_version import content_of

__all__ = ["KeptVersion", "KeptVersionArgs", "is_kept"]


def is_kept(settings: Settings) -> bool:
    """Tell whether what serves is kept as a version: the registry may be written."""
    return settings.deployment.versions_kept > 0


@dataclass(frozen=True)
class KeptVersionArgs:
    """A stack's settings, and the service as it was deployed and checked."""

    settings: Settings
    bundles: Sequence[BundleOutputs]
    deployment: Deployment
    check: SmokeCheck


class KeptVersion(pulumi.ComponentResource):
    """What serves, kept whole in the registry of its models, so that `deployment.version` deploys it again.

    While the declared service has a share of the traffic, the version beside it stays what serves.

    Attributes:
        number: The number of the version that serves; None where none of it was kept.
    """

    number: pulumi.Output[int | None]

    def __init__(self, name: str, args: KeptVersionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:KeptVersion", name, None, opts)
        settings, stack = args.settings, stack_id()
        rollout = settings.deployment.rollout
        asked = dict(rollout)
        gates = [gate for gate in ("replay", "performance", "steps") if asked.get(gate)]
        alone = rollout.performance is not None and rollout.performance.has_own_limits
        inputs: dict[str, Any] = {
            "registry": settings.registry,
            "project": stack.project,
            "stack": stack.stack,
            "service": settings.service_name,
            "content": _content(settings, args.bundles, args.deployment),
            "environment": args.deployment.environment.apply(lambda made: made.get("digest", "")),
            "source": str(Path(settings.source_directory).resolve()) if settings.entry_script else "",
            "lock_files": pulumi.Output.from_input(args.deployment.lock_files).apply(lambda files: list(files or ())),
            "passed": ["probe", *gates],
            "passed_first": ["probe", *(["performance"] if alone else [])],
            "checks": args.check.checks,
            "behind": args.deployment.behind,
            "kept": settings.deployment.versions_kept,
        }
        if settings.deployment.version is not None:
            inputs["version"] = settings.deployment.version
        # The registry keeps it, and the preview says so.
        kept = pulumi.ResourceOptions(parent=self, depends_on=[args.check], retain_on_delete=True)
        self.number = ServiceVersion(f"{name}-kept", inputs, kept).number
        self.register_outputs({"number": self.number})


def _content(settings: Settings, bundles: Sequence[BundleOutputs], deployment: Deployment) -> dict[str, Any]:
    """Give the version's content on the wire: what a preview cannot know of it yet are outputs in it."""
    known = content_of(settings, []).model_dump(mode="json", by_alias=True, exclude_none=True)
    models = [{"name": bundle.name, "version": bundle.version, "digest": bundle.digest} for bundle in bundles]
    return {**known, "models": models, "image": deployment.pushed_image}
