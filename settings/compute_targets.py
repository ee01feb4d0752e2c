"""Presets of node pools: how each cloud labels and taints its GPU nodes. The data is in `compute_targets.yaml`."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["OWN_POOL", "Preset", "presets"]


class Preset(BaseModel):
    """A family of node pools; the fields are explained at the head of `compute_targets.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True)

    pool_label: str | None = None
    pool: str | None = None
    accelerator_label: str | None = None
    tolerations: tuple[dict[str, str], ...] = ()
    elastic: bool = False
    provision_seconds: int = 900
    load_balancer: dict[str, str] = {}
    internal_load_balancer: dict[str, str] = {}


OWN_POOL = Preset()


@cache
def presets() -> dict[str, Preset]:
    """Give every preset by the name that `deployment.computeTargetName` takes."""
    text = Path(__file__).with_name("compute_targets.yaml").read_text(encoding="utf-8")
    entries: dict[str, Any] = yaml.safe_load(text)
    return {name: Preset.model_validate(entry) for name, entry in entries.items()}
