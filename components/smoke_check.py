"""SmokeCheck: the check of a deployed service, through its front door."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.gateway import Gateway
from components.model_bundle import ModelBundle
from components.process_deployment import ProcessDeployment
from components.providers import smoke_check
from settings.schema import Framework, Settings

__all__ = ["SmokeCheck", "SmokeCheckArgs"]


@dataclass(frozen=True)
class SmokeCheckArgs:
    """A stack's settings, the folder at which its relative paths start, and the deployed parts of the service."""

    settings: Settings
    project: Path
    bundles: Sequence[ModelBundle]
    keys: AccessKeys
    deployment: ProcessDeployment
    gateway: Gateway


class SmokeCheck(pulumi.ComponentResource):
    """A check after each deployment: health, keys, every declared model version, metadata, golden inferences, `/score`.

    It runs again when the bundles, the environment, the script or the settings changed, and fails the update with what
    was asked, expected and received. The script's golden request is the file `<script>.golden.json` beside it:
    `{"request": ..., "response": ...}`.
    """

    def __init__(self, name: str, args: SmokeCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:SmokeCheck", name, None, opts)
        settings = args.settings
        served = pulumi.Output.all(*(pulumi.Output.all(**bundle.served) for bundle in args.bundles))
        inputs: dict[str, Any] = {
            "url": args.gateway.url,
            "key": args.keys.primary if settings.deployment.auth_enabled else "",
            "certificate": str((args.project / settings.tls.certificate_file).resolve()) if settings.tls else "",
            "bundles": served.apply(lambda every: [b for b in every if b["framework"] == Framework.MULTI.value]),
            "score": _golden_request(settings, args.project),
            # What is behind the front door: another generation is another reason to ask.
            "generation": args.deployment.generation,
            "settings": settings.model_dump(mode="json", exclude={"primary_key", "secondary_key"}),
        }
        check = smoke_check.SmokeCheck(
            f"{name}-run", inputs, pulumi.ResourceOptions(parent=self, depends_on=[args.gateway, args.deployment])
        )
        self.register_outputs({"checks": check.checks})


def _golden_request(settings: Settings, project: Path) -> dict[str, Any] | None:
    if settings.entry_script is None:
        return None
    script = project / settings.source_directory / settings.entry_script
    golden = script.with_suffix(".golden.json")
    if not golden.is_file():
        return {}
    content = json.loads(golden.read_text())
    return {"request": content["request"], "response": content["response"]}
