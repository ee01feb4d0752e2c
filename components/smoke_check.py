"""SmokeCheck: the check of a deployed service, through its front door."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.bundle_outputs import BundleOutputs
from components.deployment import Deployment
from components.gateway import Gateway
from settings.golden import score_question
from settings.schema import Framework, Settings

__all__ = ["SmokeCheck", "SmokeCheckArgs"]


@dataclass(frozen=True)
class SmokeCheckArgs:
    """A stack's settings and the deployed parts of the service."""

    settings: Settings
    bundles: Sequence[BundleOutputs]
    keys: AccessKeys
    deployment: Deployment
    gateway: Gateway


class SmokeCheck(pulumi.ComponentResource):
    """A check after each deployment: health, keys, every declared model version, metadata, golden inferences, `/score`.

    It runs again when the bundles, the environment, the script or the settings changed, and fails the update with what
    was asked, expected and received. The script's golden request is the file `<script>.golden.json` beside it:
    `{"request": ..., "response": ...}`.

    Attributes:
        checks: How many things were asked.
    """

    checks: pulumi.Output[int]

    def __init__(self, name: str, args: SmokeCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:SmokeCheck", name, None, opts)
        self.checks = args.deployment.smoke_check(
            f"{name}-run",
            _questions(args.settings, args.bundles, args.keys),
            args.gateway.door,
            pulumi.ResourceOptions(parent=self, depends_on=[args.gateway, args.deployment]),
        )
        self.register_outputs({"checks": self.checks})


def _questions(settings: Settings, bundles: Sequence[BundleOutputs], keys: AccessKeys) -> dict[str, Any]:
    """What is asked on every target, with the settings' digest: changed ones ask anew."""
    served = pulumi.Output.all(*(pulumi.Output.all(**bundle.served) for bundle in bundles))
    return {
        "key": keys.primary if settings.deployment.auth_enabled else "",
        "certificate": str(Path(settings.tls.certificate_file).resolve()) if settings.tls else "",
        "bundles": served.apply(lambda every: [b for b in every if b["framework"] == Framework.MULTI.value]),
        "score": score_question(settings),
        "timeout_seconds": settings.deployment.limits.scoring_seconds,
        "settings": _digest(settings),
    }


def _digest(settings: Settings) -> str:
    return hashlib.sha256(
        settings.model_dump_json(exclude={"primary_key", "secondary_key", "image_password"}).encode()
    ).hexdigest()
