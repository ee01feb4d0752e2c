"""An entry script's golden request: the request that proves `/score`, and the expected answer.

It stands in the file `<script>.golden.json` beside the script: `{"request": <JSON>, "response": <JSON>}`. A script that
takes other than JSON, an image say, has `{"requestFile": <path beside it>, "contentType": <type>, "response": <JSON or
text>}`.
"""

import base64
import json
from pathlib import Path
from typing import Any

from common.errors import UserError
from settings.schema import Settings

__all__ = ["GoldenError", "golden_file", "golden_request", "read_golden", "request_file", "score_question"]

_FORMS = '{"request": ..., "response": ...} or {"requestFile": ..., "contentType": ..., "response": ...}'
_BINARY = "application/octet-stream"
_MOST_BYTES = 1 << 20
"""Of a request's file: it is sent whenever a replica is probed."""


class GoldenError(UserError):
    """The file of a golden request is not as it should be; the text is for people."""


def golden_file(settings: Settings) -> Path | None:
    """Find the file of the entry script's golden request; None where there is no script or no such file."""
    if settings.entry_script is None:
        return None
    file = (Path(settings.source_directory) / settings.entry_script).with_suffix(".golden.json")
    return file if file.is_file() else None


def golden_request(settings: Settings) -> dict[str, Any] | None:
    """Read the golden request of the entry script.

    Args:
        settings: A stack's settings.

    Returns:
        The `response`, with the `request`, or with `body` (in Base64) and `contentType`. None where the script has no
        golden request.

    Raises:
        GoldenError: The file is not as it should be. The settings' rules find that at preview.
    """
    file = golden_file(settings)
    return read_golden(file) if file is not None else None


def read_golden(file: Path) -> dict[str, Any]:
    """Read the file of a golden request, and give what `golden_request` gives."""
    content = _read(file)
    if "requestFile" not in content:
        return {"request": content["request"], "response": content["response"]}
    body, content_type = _request_file(file, content)
    return {
        "body": base64.b64encode(body.read_bytes()).decode(),
        "contentType": content_type,
        "response": content["response"],
    }


def request_file(settings: Settings) -> tuple[Path, str] | None:
    """Find the file that the golden request sends.

    Args:
        settings: A stack's settings.

    Returns:
        The file and its content type. None where the golden request is JSON, and where there is none.
    """
    file = golden_file(settings)
    content = _read(file) if file is not None else {}
    return _request_file(file, content) if file is not None and "requestFile" in content else None


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
        if "response" in content and ("request" in content) != ("requestFile" in content):
            return dict(content)
    except (ValueError, TypeError):
        pass
    raise GoldenError(f"{file}: expected JSON, {_FORMS}")


def _request_file(file: Path, content: dict[str, Any]) -> tuple[Path, str]:
    name, content_type = content["requestFile"], content.get("contentType", _BINARY)
    if not isinstance(name, str) or not isinstance(content_type, str):
        raise GoldenError(f"{file}: expected texts for requestFile and contentType")
    path = file.parent / name
    if not path.is_file():
        raise GoldenError(f"{file}: requestFile '{name}' is not there; expected a file at {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise GoldenError(
            f"{file}: requestFile '{name}' has {path.stat().st_size} bytes; expected at most {_MOST_BYTES}, as every "
            "probe sends it"
        )
    return path, content_type


def score_question(settings: Settings) -> str | None:
    """Give the question that a check asks the entry script.

    Args:
        settings: A stack's settings.

    Returns:
        The golden request as JSON text, or `{}` without one, which asks for the script's health alone. None where
        there is no script. Pulumi's numbers are doubles, so it is text: `{"row": 0}` would arrive as 0.0.
    """
    if settings.entry_script is None:
        return None
    return json.dumps(golden_request(settings) or {})
