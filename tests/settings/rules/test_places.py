"""Folders may lie anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.settings.conftest import SCRIPT, Check


def test_a_folder_may_lie_outside_of_the_project(mistakes: Check, project: Path) -> None:
    outside = project.parent / f"{project.name}-beside"
    shutil.copytree(project / "models", outside)
    (outside / "score.py").write_text(SCRIPT)
    assert (
        mistakes({"sourceDirectory": f"../{outside.name}", "models": [{"path": str(outside), "name": "digits"}]}) == []
    )
