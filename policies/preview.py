"""Read the resources of a stack from `pulumi preview --json --show-sames`, of Pulumi's CLI or the embedded engine."""

import json
from typing import Any

from policies.configuration import PolicyError
from policies.stack import Resource, Stack, marked

__all__ = ["previewed"]

_GONE = ("delete", "remove", "discard")


def previewed(name: str, text: str) -> Stack:
    """Give the stack as it would be after the update.

    Raises:
        PolicyError: There is no preview, or it failed.
    """
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError:
        raise PolicyError(
            f"stack '{name}' has no preview to check policies on; expected the JSON of `pulumi preview --json` on "
            "standard input; the preview itself says above why there is none"
        ) from None
    errors = [item["message"].strip() for item in document.get("diagnostics") or () if item["severity"] == "error"]
    if errors or "changeSummary" not in document:
        raise PolicyError(
            "\n".join([f"the preview of stack '{name}' failed, so nobody checked its policies:", *errors])
        )
    found: dict[str, Resource] = {}
    for step in document.get("steps") or ():
        new = step.get("newState")
        if new is not None and not step["op"].startswith(_GONE):
            found[new["urn"]] = Resource(new["urn"], new["type"], marked(new.get("inputs") or {}))
    return Stack(name, list(found.values()))
