"""What a check says of models and a script that passed it, on every target that can check."""

import json
from collections.abc import Sequence
from typing import Protocol

from bundle.probe_questions import declared_versions, without_golden
from bundle.registry import Registered
from settings.schema import Framework

__all__ = ["CheckedScript", "verdict"]


class CheckedScript(Protocol):
    """An entry script: its file and its golden request, JSON text."""

    @property
    def file(self) -> str:
        """The script's file in its source directory."""

    @property
    def golden(self) -> str:
        """Its golden request and the answer, JSON; `{}` without one."""


def verdict(bundles: Sequence[Registered], seconds: float, script: CheckedScript | None = None) -> list[str]:
    """Say what was checked of bundles and a script that are ready, and which models have no golden inference."""
    served = [bundle for bundle in bundles if bundle.framework == Framework.MULTI.value]
    versions = [version for bundle in served for version in declared_versions(bundle)]
    golden = sum(version["golden"] is not None for version in versions)
    checked = [f"model versions ready: {len(versions)}", f"golden inferences right: {golden}"] if served else []
    if script is not None:
        asked = json.loads(script.golden)
        checked += [f"{script.file} is ready", "its golden request right" if asked else "it has no golden request"]
    return [
        f"{'; '.join(checked)}; after {seconds:.1f} s",
        *(line for bundle in bundles for line in without_golden(bundle)),
    ]
