"""An entry script's golden request: what `/score` is asked to prove itself, and what it should answer.

The file `<script>.golden.json` beside the script: `{"request": <JSON>, "response": <JSON>}`.
"""

import json
from pathlib import Path
from typing import Any

from settings.schema import Settings

__all__ = ["GoldenError", "golden_file", "golden_request", "score_question"]


class GoldenError(ValueError):
    """A golden request's file that is not as it should be; the text is for people."""


def golden_file(settings: Settings, project: Path) -> Path | None:
    """The file of the entry script's golden request; none where there is no script or no such file."""
    if settings.entry_script is None:
        return None
    file = (project / settings.source_directory / settings.entry_script).with_suffix(".golden.json")
    return file if file.is_file() else None


def golden_request(settings: Settings, project: Path) -> dict[str, Any] | None:
    """The golden `request` and `response`; none where the script has none.

    Raises `GoldenError` where the file is not as it should be, which the settings' rules find at preview.
    """
    file = golden_file(settings, project)
    if file is None:
        return None
    try:
        content = json.loads(file.read_bytes())
        return {"request": content["request"], "response": content["response"]}
    except (ValueError, KeyError, TypeError):
        raise GoldenError(f'{file}: expected JSON, {{"request": ..., "response": ...}}') from None


def score_question(settings: Settings, project: Path) -> str | None:
    """What a check asks the entry script, as JSON text: the golden request, or `{}` (its health alone) without one.

    None where there is no script. Text, because Pulumi's numbers are doubles: `{"row": 0}` would arrive as 0.0.
    """
    if settings.entry_script is None:
        return None
    return json.dumps(golden_request(settings, project) or {})
